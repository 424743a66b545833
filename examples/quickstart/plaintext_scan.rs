//! Looks for texts in the bytes of files.

use std::{collections::HashMap, fs, io, path::Path};

/// The first bytes by which a text is found; texts must have at least as many.
const HEAD: usize = 8;

/// The contents of every file under a folder.
pub(crate) fn read_files(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.append(&mut read_files(&path)?);
        } else {
            files.push(fs::read(&path)?);
        }
    }
    Ok(files)
}

/// How many of these texts occur in the files.
pub(crate) fn count_found(files: &[Vec<u8>], texts: &[&str]) -> usize {
    let mut by_head: HashMap<[u8; HEAD], Vec<usize>> = HashMap::new();
    for (index, text) in texts.iter().enumerate() {
        let head = text.as_bytes().first_chunk().expect("texts to look for have at least 8 bytes");
        by_head.entry(*head).or_default().push(index);
    }
    let mut found = vec![false; texts.len()];
    for file in files {
        for (at, head) in file.windows(HEAD).enumerate() {
            for &index in by_head.get(head).into_iter().flatten() {
                found[index] |= file[at..].starts_with(texts[index].as_bytes());
            }
        }
    }
    found.into_iter().filter(|&found| found).count()
}
