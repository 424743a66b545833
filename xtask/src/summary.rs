//! The one summary at the end of a test run.

use std::{fmt::Write as _, time::Duration};

use crate::test_output::Target;

#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// One line per service.
    pub(crate) services: Vec<String>,
    pub(crate) targets: Vec<Target>,
    /// Why the run as a whole did not succeed, apart from what single tests say.
    pub(crate) problem: Option<String>,
    pub(crate) time: Duration,
}

impl Summary {
    fn passed(&self) -> usize {
        self.targets.iter().map(|target| target.passed).sum()
    }

    fn skipped(&self) -> usize {
        self.targets.iter().map(|target| target.ignored).sum()
    }

    /// Failed tests, and one for each test program that died before it could count. A run that did
    /// not succeed never shows 0: what went wrong outside the tests (a missing service, code that
    /// does not compile) counts as one.
    fn failed(&self) -> usize {
        let tests: usize = self.targets.iter().map(|target| target.failed).sum();
        if self.problem.is_none() {
            return tests;
        }
        let dead = self.targets.iter().filter(|target| target.results == 0).count();
        (tests + dead).max(1)
    }

    /// Whether tests ran and none failed.
    pub(crate) fn succeeded(&self) -> bool {
        self.problem.is_none() && self.failed() == 0 && self.passed() > 0
    }

    /// The text, ending in a line like `12 passed, 0 failed, 1 skipped`.
    pub(crate) fn render(&self) -> String {
        let mut text = "==== summary ====\n".to_owned();
        section(&mut text, "services", self.services.iter().cloned());
        section(&mut text, "tests", self.targets.iter().map(|target| self.line(target)));
        section(&mut text, "skipped", names(&self.targets, |target| &target.skips));
        section(&mut text, "failed", names(&self.targets, |target| &target.failures));
        if let Some(problem) = &self.problem {
            section(&mut text, "problem", problem.lines().map(str::to_owned));
        } else if self.passed() == 0 {
            section(&mut text, "problem", ["no test passed".to_owned()].into_iter());
        }
        let seconds = self.time.as_secs();
        let _ = writeln!(text, "time: {} min {} s", seconds / 60, seconds % 60);
        let _ = write!(text, "{} passed, {} failed", self.passed(), self.failed());
        if self.skipped() > 0 {
            let _ = write!(text, ", {} skipped", self.skipped());
        }
        text.push('\n');
        text
    }

    fn line(&self, target: &Target) -> String {
        let Target { name, passed, failed, ignored, .. } = target;
        match (target.results, &self.problem) {
            (0, Some(_)) => format!("{name}: ended without a result"),
            (0, None) => format!("{name}: does not count its tests"),
            _ => {
                let mut line = format!("{name}: {passed} passed");
                for (number, word) in [(*failed, "failed"), (*ignored, "skipped")] {
                    if number > 0 {
                        let _ = write!(line, ", {number} {word}");
                    }
                }
                line
            }
        }
    }
}

fn section(text: &mut String, heading: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        let _ = writeln!(text, "{heading}:");
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    }
}

fn names<'a>(
    targets: &'a [Target],
    list: impl Fn(&'a Target) -> &'a Vec<String>,
) -> impl Iterator<Item = String> {
    targets.iter().flat_map(move |target| list(target).iter().map(|test| format!("{}: {test}", target.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, passed: usize, failed: usize, ignored: usize) -> Target {
        Target { name: name.to_owned(), results: 1, passed, failed, ignored, ..Target::default() }
    }

    fn last_line(summary: &Summary) -> String {
        summary.render().lines().last().unwrap_or_default().to_owned()
    }

    #[test]
    fn all_is_well() {
        let summary = Summary {
            services: vec!["postgres: 15".to_owned()],
            targets: vec![target("a", 2, 0, 0), target("b", 3, 0, 0)],
            time: Duration::from_secs(61),
            ..Summary::default()
        };
        assert!(summary.succeeded());
        let expected = "==== summary ====\n\
            services:\n  postgres: 15\n\
            tests:\n  a: 2 passed\n  b: 3 passed\n\
            time: 1 min 1 s\n\
            5 passed, 0 failed\n";
        assert_eq!(summary.render(), expected);
    }

    #[test]
    fn skipped_tests_are_named() {
        let mut skipping = target("a", 2, 0, 1);
        skipping.skips.push("slow, takes an hour".to_owned());
        let summary = Summary { targets: vec![skipping], ..Summary::default() };
        assert!(summary.succeeded());
        assert!(summary.render().contains("skipped:\n  a: slow, takes an hour\n"));
        assert_eq!(last_line(&summary), "2 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn failed_tests_are_named() {
        let mut failing = target("a", 2, 1, 0);
        failing.failures.push("tag".to_owned());
        let summary = Summary {
            targets: vec![failing],
            problem: Some("cargo test ended with exit status: 101".to_owned()),
            ..Summary::default()
        };
        assert!(!summary.succeeded());
        assert!(summary.render().contains("failed:\n  a: tag\n"));
        assert_eq!(last_line(&summary), "2 passed, 1 failed");
    }

    #[test]
    fn a_program_that_died_counts_as_failed() {
        let dead = Target { name: "dead".to_owned(), ..Target::default() };
        let summary = Summary {
            targets: vec![target("a", 2, 0, 0), dead],
            problem: Some("cargo test ended with exit status: 101".to_owned()),
            ..Summary::default()
        };
        assert!(summary.render().contains("dead: ended without a result"));
        assert_eq!(last_line(&summary), "2 passed, 1 failed");
    }

    #[test]
    fn a_run_that_never_came_to_tests_is_not_green() {
        let summary = Summary { problem: Some("no server".to_owned()), ..Summary::default() };
        assert!(!summary.succeeded());
        assert_eq!(last_line(&summary), "0 passed, 1 failed");
    }

    #[test]
    fn no_test_at_all_is_no_success() {
        let summary = Summary { targets: vec![target("a", 0, 0, 0)], ..Summary::default() };
        assert!(!summary.succeeded());
        assert!(summary.render().contains("no test passed"));
        assert_eq!(last_line(&summary), "0 passed, 0 failed");
    }
}
