//! Which group of a batch each value belongs to.

/// The groups of values, by their position. Most batches have one group, and no list of it.
pub(super) struct GroupOf {
    values: usize,
    /// empty as long as all are in group 0
    groups: Vec<usize>,
    expected: usize,
}

impl GroupOf {
    /// With room for this many values.
    pub(super) fn new(expected: usize) -> Self {
        Self { values: 0, groups: Vec::new(), expected }
    }

    /// Adds a value of this group.
    #[inline]
    pub(super) fn push(&mut self, group: usize) {
        if group != 0 || !self.groups.is_empty() {
            self.list(group);
        }
        self.values += 1;
    }

    fn list(&mut self, group: usize) {
        if self.groups.is_empty() {
            self.groups.reserve_exact(self.expected);
            self.groups.resize(self.values, 0);
        }
        self.groups.push(group);
    }

    /// The group of the value at this position.
    #[inline]
    pub(super) fn get(&self, value: usize) -> Option<usize> {
        match self.groups.is_empty() {
            true => (value < self.values).then_some(0),
            false => self.groups.get(value).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_their_groups() {
        for given in [&[][..], &[0], &[0, 0, 0], &[0, 1, 0, 2], &[0, 0, 1], &[1, 0]] {
            let mut groups = GroupOf::new(given.len());
            given.iter().for_each(|group| groups.push(*group));
            let found: Vec<_> = (0..=given.len()).map(|value| groups.get(value)).collect();
            let expected: Vec<_> = given.iter().copied().map(Some).chain([None]).collect();
            assert_eq!(found, expected);
        }
    }
}
