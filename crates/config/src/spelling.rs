//! Slips of the keyboard.

/// The one of `known` that `word` looks like.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let distance = |candidate: &&str| strsim::damerau_levenshtein(&word, candidate);
    let nearest = known.into_iter().min_by_key(distance)?;
    // A third of the letters may be wrong: enough for a slip, too little for another word.
    (distance(&nearest) * 3 <= nearest.len()).then_some(nearest)
}
