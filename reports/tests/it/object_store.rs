//! Shards that share no folder: each leaves its results in an object store, and `merge` finds them there.
#![cfg(all(feature = "object-store", unix))]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a server of the machine, for a test"
)]
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn scenario() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/feed.toml")
}

fn hogwash(folder: &Path, environment: &[(&str, String)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hogwash"));
    command.args(arguments).args(["--message-format", "json"]).current_dir(folder);
    command.envs(environment.iter().map(|(name, value)| (name, value))).output().unwrap()
}

/// The last line on stdout, without what differs from time to time and from store to store.
fn summary(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let mut last: Value =
        serde_json::from_str(text.lines().last().unwrap_or_else(|| panic!("{told}"))).unwrap();
    last["wall-ns"] = Value::Null;
    for distinct in last["distinct"].as_array_mut().unwrap() {
        let plan = PathBuf::from(distinct["plan"].as_str().unwrap());
        assert!(plan.components().count() > 2, "{plan:?}");
        distinct["plan"] = plan.parent().unwrap().file_name().unwrap().to_str().unwrap().into();
    }
    last
}

/// Two shards, each with a store of its own, published under `root`; the same as one machine says, and gone on with.
fn shards_meet_at(root: &str, environment: &[(&str, String)]) {
    let folder = tempfile::tempdir().unwrap();
    let scenario = scenario();
    let fuzz = ["fuzz", scenario.to_str().unwrap(), "--variant", "unsafe", "--seeds", "6"];
    let fuzz = |arguments: &[&str]| hogwash(folder.path(), environment, &[&fuzz[..], arguments].concat());
    let alone = summary(&fuzz(&["--store", "alone"]));
    let urls = [format!("{root}/1"), format!("{root}/2")];
    fuzz(&["--shard", "1/2", "--store", "one", "--publish", &urls[0]]);
    let merge = |urls: &[&str]| hogwash(folder.path(), environment, &[&["merge"], urls].concat());
    let half = merge(&[&urls[0]]);
    let told = String::from_utf8_lossy(&half.stderr).into_owned();
    assert!(half.status.code() == Some(2) && told.contains("shard 2/2 has 0 of 3"), "{told}");
    fuzz(&["--shard", "2/2", "--store", "two", "--publish", &urls[1]]);
    assert_eq!(summary(&merge(&[&urls[0], &urls[1]])), alone);
    let doubled = merge(&[&urls[0], &urls[1], &urls[1]]);
    assert!(String::from_utf8_lossy(&doubled.stderr).contains("shard 2/2 is there twice"));
}

#[test]
fn shards_meet_in_a_folder_that_is_named_by_a_url() {
    let bucket = tempfile::tempdir().unwrap();
    shards_meet_at(&format!("file://{}/nightly", bucket.path().display()), &[]);
}

#[test]
fn another_machine_goes_on_where_a_shard_was_left() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/bucket", folder.path().display());
    let scenario = scenario();
    let seeds_of = |store: &str| {
        let fuzz = ["fuzz", scenario.to_str().unwrap(), "--seeds", "4", "--publish", &url, "--store", store];
        let text = String::from_utf8(hogwash(folder.path(), &[], &fuzz).stdout).unwrap();
        let runs = text.lines().filter(|line| line.contains("\"run-finished\""));
        let seed = |line: &str| serde_json::from_str::<Value>(line).unwrap()["seed"].as_u64().unwrap();
        runs.map(seed).collect::<BTreeSet<_>>()
    };
    assert_eq!(seeds_of("one"), (0..4).collect());
    // As the first machine would have left its ledger after two runs.
    let mut ledgers = folder.path().join("bucket/.fuzz").read_dir().unwrap();
    let done = ledgers.next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&done).unwrap();
    let open = PathBuf::from(done.to_str().unwrap().replace(".done.jsonl", ".jsonl"));
    std::fs::write(open, text.lines().take(3).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    std::fs::remove_file(done).unwrap();
    assert_eq!(seeds_of("elsewhere").len(), 2);
}

#[test]
fn a_place_that_cannot_be_is_refused_with_those_that_can() {
    let folder = tempfile::tempdir().unwrap();
    for (url, words) in [("gopher://bucket/1", "it knows `file:///…`"), ("://", "is no URL")] {
        let output = hogwash(folder.path(), &[], &["merge", url]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && told.contains(words), "{told}");
    }
}

#[cfg(feature = "aws")]
#[test]
fn shards_meet_in_a_bucket() {
    let endpoint = bucket::serve();
    let set = |name, value: &str| (name, value.to_owned());
    let environment = [
        set("AWS_ENDPOINT", &endpoint),
        set("AWS_ALLOW_HTTP", "true"),
        set("AWS_REGION", "here"),
        set("AWS_ACCESS_KEY_ID", "anybody"),
        set("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    shards_meet_at("s3://bucket/nightly", &environment);
}

/// As much of S3's protocol as stores of runs need: objects are put, got and listed. Signatures are not looked at.
#[cfg(feature = "aws")]
mod bucket {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

    /// Serves until the test ends; where.
    pub(crate) fn serve() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let objects = Objects::default();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let objects = objects.clone();
                std::thread::spawn(move || answer(stream, &objects));
            }
        });
        format!("http://{address}")
    }

    /// Answers one request, and closes.
    fn answer(stream: TcpStream, objects: &Objects) {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
        let mut words = head.split(' ');
        let (method, target) =
            (words.next().unwrap().to_owned(), words.next().unwrap_or_default().to_owned());
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ").and_then(|number| number.parse().ok())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let key = path.trim_start_matches("/bucket").trim_start_matches('/').to_owned();
        let (status, content) = match method.as_str() {
            "PUT" => {
                objects.lock().unwrap().insert(key, body);
                ("200 OK", Vec::new())
            }
            _ if key.is_empty() => ("200 OK", list(query, objects).into_bytes()),
            _ => match objects.lock().unwrap().get(&key) {
                Some(content) => ("200 OK", content.clone()),
                None => ("404 Not Found", Vec::new()),
            },
        };
        let length = content.len();
        let headers = "ETag: \"1\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nConnection: close";
        let head = format!("HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {length}\r\n\r\n");
        let stream = reader.get_mut();
        // Who asked may be gone by now.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&content));
    }

    fn list(query: &str, objects: &Objects) -> String {
        let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default();
        let prefix = prefix.replace("%2F", "/");
        let mut text = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
        for (key, content) in objects.lock().unwrap().iter().filter(|(key, _)| key.starts_with(&prefix)) {
            let size = content.len();
            let _ = write!(
                text,
                "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                 <ETag>\"1\"</ETag><Size>{size}</Size></Contents>"
            );
        }
        text + "</ListBucketResult>"
    }
}
