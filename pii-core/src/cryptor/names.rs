//! Numbers for names, in the order in which they come.

use std::{collections::HashMap, hash::Hash};

/// So many names are sooner compared than hashed.
const FEW: usize = 8;

/// Different names. Most batches have one or two, which cost no hash table.
pub(super) struct Names<N> {
    names: Vec<N>,
    /// of all names, once there are more than a few
    numbers: HashMap<N, usize>,
}

impl<N> Default for Names<N> {
    fn default() -> Self {
        Self { names: Vec::new(), numbers: HashMap::new() }
    }
}

impl<N: Hash + Eq + Clone> Names<N> {
    pub(super) fn find(&self, name: &N) -> Option<usize> {
        match self.names.len() {
            ..=FEW => self.names.iter().position(|known| known == name),
            _ => self.numbers.get(name).copied(),
        }
    }

    /// Adds a name that is not there yet, and gives its number.
    pub(super) fn add(&mut self, name: N) -> usize {
        let number = self.names.len();
        self.names.push(name);
        match number {
            ..FEW => {}
            FEW => self.numbers.extend(self.names.iter().cloned().zip(0..)),
            _ => self.numbers.extend(self.names.last().cloned().map(|name| (name, number))),
        }
        number
    }

    /// By their numbers.
    pub(super) fn as_slice(&self) -> &[N] {
        &self.names
    }

    /// Keeps the names whose numbers are wanted; those that stay are numbered anew.
    pub(super) fn keep(&mut self, is_kept: impl Fn(usize) -> bool) {
        let names = std::mem::take(self).names.into_iter().enumerate();
        names.filter(|(number, _)| is_kept(*number)).for_each(|(_, name)| {
            self.add(name);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_names_are_found() {
        for count in [0, 1, FEW - 1, FEW, FEW + 1, FEW + 2, 100] {
            let mut names = Names::default();
            for name in 0..count {
                assert_eq!(names.find(&name.to_string()), None);
                assert_eq!(names.add(name.to_string()), name);
            }
            for name in 0..count {
                assert_eq!(names.find(&name.to_string()), Some(name), "of {count}");
            }
            assert_eq!(names.find(&count.to_string()), None);
            names.keep(|number| number % 2 == 1);
            assert_eq!(names.as_slice().len(), count / 2);
            for (number, name) in (1..count).step_by(2).enumerate() {
                assert_eq!(names.find(&name.to_string()), Some(number), "of {count}");
            }
            assert_eq!(names.find(&"0".to_owned()), None);
        }
    }
}
