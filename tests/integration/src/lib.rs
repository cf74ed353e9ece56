//! Nothing here: the stories are a test target, see `main.rs`.
