//! Reads the directory: a folder a stream, `stream.json` and `<consumer>.consumer.json` in it.
//!
//! Promises: the files are what the ecosystem's own tools read, field for field; a JSON file that
//! would be overlooked is a mistake. Refuses: fields it does not know, since a misspelt limit
//! would otherwise be no limit.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::fields::{self, Field, Kind, Otherwise};
use super::mistakes::{Mistake, Mistakes, Notebook};
use super::{CONSUMERS_KEY, Desired, DesiredConsumer, DesiredStream, MANAGED_KEY, MANAGED_VALUE};
use super::{rules, subjects};

/// Largest file that is read, in bytes; a real one has a few hundred.
const FILE_MAX_BYTES: u64 = 64 * 1024;
const STREAM_FILE: &str = "stream.json";
const CONSUMER_SUFFIX: &str = ".consumer.json";

/// Reads and checks every file of `directory`; `replicas` replaces `num_replicas` of each stream.
///
/// # Errors
/// Every mistake of every file.
pub fn load(directory: &Path, replicas: Option<u8>) -> Result<Desired, Mistakes> {
    let mut mistakes = Vec::new();
    let mut streams = Vec::new();
    for path in entries(directory, &mut mistakes) {
        if path.is_dir() {
            streams.extend(read_folder(&path, replicas, &mut mistakes));
        } else if is_json(&path) {
            Notebook::new(&path, &mut mistakes)
                .file("is not in a stream's folder; move it to <STREAM>/stream.json");
        }
    }
    rules::between_streams(directory, &streams, &mut mistakes);
    if streams.is_empty() && mistakes.is_empty() {
        Notebook::new(directory, &mut mistakes)
            .file("holds no stream; WEGWEISER_STREAMS_DIR must name the directory of the files");
    }
    if mistakes.is_empty() { Ok(Desired { streams }) } else { Err(Mistakes(mistakes)) }
}

/// What is in a directory, sorted, without hidden files.
fn entries(directory: &Path, mistakes: &mut Vec<Mistake>) -> Vec<PathBuf> {
    let listed = fs::read_dir(directory).and_then(|entries| {
        entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<PathBuf>, _>>()
    });
    let mut paths = match listed {
        Ok(paths) => paths,
        Err(error) => {
            Notebook::new(directory, mistakes).file(format!(
                "cannot be read ({error}); WEGWEISER_STREAMS_DIR must name the directory of the files"
            ));
            return Vec::new();
        }
    };
    paths.retain(|path| !file_name(path).starts_with('.'));
    paths.sort();
    paths
}

fn read_folder(
    folder: &Path,
    replicas: Option<u8>,
    mistakes: &mut Vec<Mistake>,
) -> Option<DesiredStream> {
    let name = file_name(folder);
    let mut consumers = Vec::new();
    let mut stream_file = None;
    for path in entries(folder, mistakes) {
        let file = file_name(&path);
        if file == STREAM_FILE {
            stream_file = Some(path);
        } else if let Some(consumer) = file.strip_suffix(CONSUMER_SUFFIX) {
            consumers.extend(read_consumer(&path, consumer, mistakes).map(|found| (path, found)));
        } else if path.is_dir() || is_json(&path) {
            Notebook::new(&path, mistakes)
                .file("is neither stream.json nor <consumer>.consumer.json; rename or move it");
        }
    }
    let Some(stream_file) = stream_file else {
        Notebook::new(folder, mistakes).file("has no stream.json; write one or remove the folder");
        return None;
    };
    let mut config = read_object(&stream_file, mistakes)?;
    let mut notebook = Notebook::new(&stream_file, mistakes);
    check_fields(fields::STREAM, &config, &mut notebook);
    rules::stream(&name, &config, &mut notebook);
    if let Some(replicas) = replicas {
        config.insert("num_replicas".to_owned(), replicas.into());
    }
    rules::consumers_of(&config, &consumers, mistakes);
    let consumers: Vec<DesiredConsumer> = consumers.into_iter().map(|(_, found)| found).collect();
    mark(&mut config, MANAGED_KEY, MANAGED_VALUE);
    if !consumers.is_empty() {
        let names: Vec<&str> = consumers.iter().map(|consumer| consumer.name.as_str()).collect();
        mark(&mut config, CONSUMERS_KEY, &names.join(","));
    }
    Some(DesiredStream { name, config, consumers })
}

fn read_consumer(path: &Path, name: &str, mistakes: &mut Vec<Mistake>) -> Option<DesiredConsumer> {
    let mut config = read_object(path, mistakes)?;
    let mut notebook = Notebook::new(path, mistakes);
    check_fields(fields::CONSUMER, &config, &mut notebook);
    rules::consumer(name, &config, &mut notebook);
    mark(&mut config, MANAGED_KEY, MANAGED_VALUE);
    Some(DesiredConsumer { name: name.to_owned(), config })
}

fn read_object(path: &Path, mistakes: &mut Vec<Mistake>) -> Option<Map<String, Value>> {
    let mut notebook = Notebook::new(path, mistakes);
    let size = fs::metadata(path).map(|found| found.len()).unwrap_or_default();
    if size > FILE_MAX_BYTES {
        notebook.file(format!("has {size} bytes; a stream file has at most {FILE_MAX_BYTES}"));
        return None;
    }
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            notebook.file(format!("cannot be read ({error}); make it a readable text file"));
            return None;
        }
    };
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(config)) => Some(config),
        Ok(_) => {
            notebook.file("is not a JSON object; write {\"name\": …}");
            None
        }
        Err(error) => {
            notebook.file(format!("is not JSON ({error}); correct it there"));
            None
        }
    }
}

fn check_fields(table: &[Field], config: &Map<String, Value>, notebook: &mut Notebook<'_>) {
    for (name, value) in config {
        let Some(field) = table.iter().find(|field| field.name == name) else {
            let known = fields::names(table);
            notebook.field(name, value, format!("no field of that name; known: {known}"));
            continue;
        };
        if let Some(remedy) = problem(field.kind, value) {
            notebook.field(name, value, remedy);
        }
    }
    for field in table {
        if field.otherwise == Otherwise::Required && !config.contains_key(field.name) {
            notebook.missing(field.name, format!("state it: {}", expected(field.kind)));
        }
    }
}

/// What is wrong with a value, as a remedy.
fn problem(kind: Kind, value: &Value) -> Option<String> {
    let number = value.as_i64();
    let fits = match kind {
        Kind::Text => value.as_str().is_some_and(|text| !text.is_empty()),
        Kind::Flag => value.is_boolean(),
        Kind::NeverTrue(_) => value == &Value::Bool(false),
        Kind::Limit => number.is_some_and(|n| n == -1 || n >= 1),
        Kind::Number(least, most) => number.is_some_and(|n| (least..=most).contains(&n)),
        Kind::Nanoseconds(least) => number.is_some_and(|n| n == 0 || n >= least),
        Kind::NanosecondList => {
            let list = value.as_array();
            list.is_some_and(|all| all.iter().all(|one| one.as_i64().is_some_and(|n| n > 0)))
        }
        Kind::Word(words) => value.as_str().is_some_and(|text| words.contains(&text)),
        Kind::Subject => value.as_str().is_some_and(subjects::is_valid),
        Kind::Subjects => value.as_array().is_some_and(|all| {
            !all.is_empty() && all.iter().all(|one| one.as_str().is_some_and(subjects::is_valid))
        }),
        Kind::Metadata => {
            value.as_object().is_some_and(|pairs| pairs.values().all(Value::is_string))
        }
        Kind::Object => value.is_object(),
    };
    (!fits).then(|| format!("give {}", expected(kind)))
}

/// What a field takes, in words.
fn expected(kind: Kind) -> String {
    match kind {
        Kind::Text => "a text that is not empty".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::NeverTrue(reason) => format!("false, or leave it out: {reason}"),
        Kind::Limit => "-1 for unlimited, or a whole number from 1".to_owned(),
        Kind::Number(least, i64::MAX) => format!("a whole number from {least}"),
        Kind::Number(least, most) => format!("a whole number from {least} to {most}"),
        Kind::Nanoseconds(least) => format!(
            "nanoseconds as a whole number, at least {least} (1 h is 3600000000000), or 0 for none"
        ),
        Kind::NanosecondList => {
            "a list of nanoseconds as whole numbers (30 s is 30000000000)".to_owned()
        }
        Kind::Word(words) => format!("one of {}", words.join(", ")),
        Kind::Subject => "a subject: tokens with dots between, `*` and a last `>`".to_owned(),
        Kind::Subjects => {
            "a list of subjects: tokens with dots between, `*`, a last `>`".to_owned()
        }
        Kind::Metadata => "an object whose values are texts".to_owned(),
        Kind::Object => "an object".to_owned(),
    }
}

fn mark(config: &mut Map<String, Value>, key: &str, value: &str) {
    let metadata = config.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let Some(pairs) = metadata.as_object_mut() {
        pairs.insert(key.to_owned(), value.into());
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}
