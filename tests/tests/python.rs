//! The decryptor in Python, which was written from FORMAT.md alone, over the frozen vectors.

use std::{env, path::Path, process::Command};

#[test]
fn an_independent_decryptor_agrees_with_every_vector() {
    agrees_with("vectors/format-v2.json", 150);
}

#[test]
fn it_agrees_with_every_vector_of_documents() {
    agrees_with("vectors/documents-v2.json", 22);
}

/// All vectors of the file are as it says, and this many open at least.
fn agrees_with(file: &str, opened: u32) {
    let python = env::var("PII_TEST_PYTHON").expect(
        "PII_TEST_PYTHON must name a Python with the package `cryptography`: run `cargo xtask test`, which prepares one",
    );
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python)
        .arg(tests.join("python/check_vectors.py"))
        .arg(tests.join(file))
        .output()
        .expect("python runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    assert!(text.contains(" 0 failed"), "{text}");
    let count = text.split("format-v2: ").nth(1).and_then(|rest| rest.split(' ').next());
    assert!(count.is_some_and(|count| count.parse::<u32>().unwrap() >= opened), "{text}");
}

#[test]
fn it_is_small_enough_to_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/decrypt.py");
    let lines = std::fs::read_to_string(path).unwrap().lines().count();
    assert!(lines <= 60, "decrypt.py has {lines} lines");
}
