//! `cargo xtask check-features`: the crate `pii` with no features, and with each one alone.
//!
//! Tests run with all features on, where code that leans on a feature it does not ask for compiles,
//! and code that only one feature uses is used. By clippy, which can refuse warnings in this
//! workspace alone.

use std::process::ExitCode;

use serde_json::Value;

use crate::{
    command,
    error::{Context, Error, Result},
    home::Home,
    signals,
};

const PACKAGE: &str = "pii";

pub(crate) fn check(home: &Home) -> Result<ExitCode> {
    let metadata = command::output(
        command::cargo().args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(&home.root),
    )?;
    let features = features(&metadata, PACKAGE)?;
    let alone = features.iter().map(|feature| Some(feature.as_str()));
    for feature in std::iter::once(None).chain(alone) {
        signals::check()?;
        let name = feature.unwrap_or("no features");
        eprintln!("{PACKAGE} with {name}");
        let mut cargo = command::cargo();
        cargo
            .args(["clippy", "--quiet", "--package", PACKAGE, "--no-default-features"])
            .current_dir(&home.root);
        if let Some(feature) = feature {
            cargo.args(["--features", feature]);
        }
        cargo.args(["--", "--deny", "warnings"]);
        command::shown(&mut cargo).context(format_args!("{PACKAGE} with {name}"))?;
    }
    println!("{PACKAGE} builds with no features and with each of: {}", features.join(", "));
    Ok(ExitCode::SUCCESS)
}

/// The features of a package but `default`, which every other build has.
fn features(metadata: &str, package: &str) -> Result<Vec<String>> {
    let metadata: Value = serde_json::from_str(metadata).context("reading cargo metadata")?;
    let features = metadata
        .get("packages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|found| found.get("name").and_then(Value::as_str) == Some(package))
        .and_then(|found| found.get("features")?.as_object())
        .ok_or_else(|| Error::new(format!("cargo metadata knows no package {package}")))?;
    Ok(features.keys().filter(|feature| *feature != "default").cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"packages": [
        {"name": "pii-core", "features": {"uuid": []}},
        {"name": "pii", "features": {"default": ["derive"], "derive": [], "sqlite": ["x/y"]}}
    ]}"#;

    #[test]
    fn the_packages_own_features_are_found() {
        assert_eq!(features(METADATA, "pii").unwrap(), ["derive", "sqlite"]);
    }

    #[test]
    fn an_unknown_package_is_an_error() {
        assert!(features(METADATA, "other").is_err());
        assert!(features("{}", "pii").is_err());
        assert!(features("no", "pii").is_err());
    }
}
