//! Streams as code against a real server.

#[cfg(test)]
mod broken_files;
#[cfg(test)]
mod in_sync;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod stage;
