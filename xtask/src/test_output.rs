//! Reading what `cargo test` prints.

/// One test program, or the documentation tests of one crate.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// How many `test result:` lines it printed. None means that it died, or that it is a program
    /// of another kind; documentation tests print several.
    pub(crate) results: usize,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) ignored: usize,
    /// Names of failed tests.
    pub(crate) failures: Vec<String>,
    /// Names of ignored tests, with the reason if one is given.
    pub(crate) skips: Vec<String>,
}

/// Takes the output in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    targets: Vec<Target>,
}

impl Parser {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line();
            } else {
                self.line.push(*byte);
            }
        }
    }

    pub(crate) fn finish(mut self) -> Vec<Target> {
        self.end_line();
        self.targets
    }

    fn end_line(&mut self) {
        let bytes = std::mem::take(&mut self.line);
        let line = plain(&String::from_utf8_lossy(&bytes));
        let line = line.trim();
        if let Some(name) = heading(line) {
            self.targets.push(Target { name, ..Target::default() });
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            let target = self.current();
            target.results += 1;
            target.passed += count(counts, "passed");
            target.failed += count(counts, "failed");
            target.ignored += count(counts, "ignored");
        } else if let Some(test) = line.strip_prefix("test ")
            && let Some((name, outcome)) = test.rsplit_once(" ... ")
        {
            if outcome == "FAILED" {
                self.current().failures.push(name.to_owned());
            } else if let Some(reason) = outcome.strip_prefix("ignored") {
                self.current().skips.push(format!("{name}{reason}"));
            }
        }
    }

    fn current(&mut self) -> &mut Target {
        if self.targets.is_empty() {
            self.targets.push(Target { name: "(no heading)".to_owned(), ..Target::default() });
        }
        let last = self.targets.len().saturating_sub(1);
        #[allow(clippy::indexing_slicing, reason = "not empty, see above")]
        &mut self.targets[last]
    }
}

/// The name in a heading of cargo's, `Running unittests src/lib.rs (target/debug/deps/pii-0123)`
/// or `Doc-tests pii`.
fn heading(line: &str) -> Option<String> {
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} (doc tests)"));
    }
    let (source, program) = line.strip_prefix("Running ")?.strip_suffix(')')?.rsplit_once(" (")?;
    let program = program.rsplit(['/', '\\']).next()?;
    let (name, hash) = program.rsplit_once('-')?;
    let is_hash = !hash.is_empty() && hash.chars().all(|c| c.is_ascii_hexdigit());
    is_hash.then(|| format!("{name} ({source})"))
}

/// The number before a word in `ok. 3 passed; 0 failed; 1 ignored; ...`
fn count(counts: &str, word: &str) -> usize {
    counts
        .split(['.', ';'])
        .filter_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
        .next()
        .unwrap_or(0)
}

/// A line without colours.
fn plain(line: &str) -> String {
    let mut rest = line;
    let mut text = String::with_capacity(line.len());
    while let Some((before, escape)) = rest.split_once("\u{1b}[") {
        text.push_str(before);
        rest = escape.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = rest.strip_prefix(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest);
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
   Compiling pii-core v0.1.0
     Running unittests src/lib.rs (target/debug/deps/pii_core-0a1b2c3d4e5f6071)

running 4 tests
test seal::tests::round_trip ... ok
test seal::tests::slow ... ignored
test seal::tests::service ... ignored, needs a service
test seal::tests::tag ... FAILED

failures:
    seal::tests::tag

test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s

\u{1b}[1m\u{1b}[32m     Running\u{1b}[0m tests/sqlite.rs (/elsewhere/debug/deps/sqlite-00ff)

running 1 test
test opens ... \u{1b}[32mok\u{1b}[0m

test result: \u{1b}[32mok\u{1b}[0m. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s

     Running tests/dies.rs (target/debug/deps/dies-00ff)
running 1 test
   Doc-tests pii_core
test pii-core/src/lib.rs - (line 3) ... ok
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
test pii-core/src/lib.rs - (line 9) - compile fail ... ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";

    fn parse(pieces: impl Iterator<Item = &'static [u8]>) -> Vec<Target> {
        let mut parser = Parser::default();
        for piece in pieces {
            parser.feed(piece);
        }
        parser.finish()
    }

    #[test]
    fn a_whole_run() {
        let targets = parse([OUTPUT.as_bytes()].into_iter());
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        let expected = [
            "pii_core (unittests src/lib.rs)",
            "sqlite (tests/sqlite.rs)",
            "dies (tests/dies.rs)",
            "pii_core (doc tests)",
        ];
        assert_eq!(names, expected);
        let counts: Vec<_> = targets
            .iter()
            .map(|target| (target.results, target.passed, target.failed, target.ignored))
            .collect();
        assert_eq!(counts, [(1, 1, 1, 2), (1, 12, 0, 0), (0, 0, 0, 0), (2, 3, 0, 0)]);
        assert_eq!(targets[0].failures, ["seal::tests::tag"]);
        let skips = ["seal::tests::slow", "seal::tests::service, needs a service"];
        assert_eq!(targets[0].skips, skips);
    }

    #[test]
    fn pieces_of_any_size_give_the_same() {
        let whole = parse([OUTPUT.as_bytes()].into_iter());
        for size in [1, 2, 7, 100] {
            assert_eq!(parse(OUTPUT.as_bytes().chunks(size)), whole, "{size}");
        }
    }

    #[test]
    fn other_lines_are_no_headings() {
        for line in
            ["Running `rustc --crate-name pii`", "Running the tests (all of them)", "Running", "Doc-tests"]
        {
            assert_eq!(heading(line), None, "{line}");
        }
    }

    #[test]
    fn results_without_a_heading_count() {
        let targets = parse([b"test result: ok. 2 passed; 0 failed; 0 ignored".as_slice()].into_iter());
        assert_eq!(targets[0].passed, 2);
    }

    #[test]
    fn broken_output_is_survived() {
        let text = b"\xff\xfe\ntest result:\ntest result: x passed; 99999999999999999999 failed\n\x1b[";
        let targets = parse([text.as_slice()].into_iter());
        assert_eq!((targets[0].results, targets[0].passed, targets[0].failed), (1, 0, 0));
    }
}
