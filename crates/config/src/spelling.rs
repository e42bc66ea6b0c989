//! Finds the known word that the user meant.

/// The word of `known` that is closest to `word`, if any is close enough.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let distance = |candidate: &&str| strsim::damerau_levenshtein(&word, candidate);
    let nearest = known.into_iter().min_by_key(distance)?;
    // Up to a third of the letters may be wrong. That allows a typing error, but not another word.
    (distance(&nearest) * 3 <= nearest.len()).then_some(nearest)
}
