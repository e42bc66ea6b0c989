//! Random numbers, the same on every machine for the same seed.

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// The sequence for these numbers together. Each number changes it.
    pub(super) fn of(seeds: &[u64]) -> Self {
        let fold = |mixed: u64, seed: &u64| Self(mixed ^ seed).next();
        Self(seeds.iter().fold(0, fold))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `first` to `last`.
    pub(super) fn between(&mut self, first: u32, last: u32) -> u32 {
        let width = u64::from(last - first) + 1;
        first + u32::try_from(self.next() % width).unwrap_or_default()
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let last = u32::try_from(from.len() - 1).unwrap_or_default();
        from[self.between(0, last) as usize]
    }

    /// True or false with equal probability.
    pub(super) fn coin(&mut self) -> bool {
        self.pick(&[true, false])
    }

    /// The same values in another order.
    pub(super) fn shuffle<T>(&mut self, values: &mut [T]) {
        let last = u32::try_from(values.len().saturating_sub(1)).unwrap_or_default();
        for at in (1..=last).rev() {
            values.swap(at as usize, self.between(0, at) as usize);
        }
    }
}
