//! Ratings compared with `openskill` for Python. `COVEY_REFERENCE` can name a folder with more of
//! its results.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use covey_comms::gauntlet::RatingConfig;
use covey_comms::gauntlet::scoring::{Rating, play_match};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    mu: f64,
    sigma: f64,
    beta: f64,
    tau: f64,
    matches: Vec<Match>,
}

#[derive(Deserialize)]
struct Match {
    players: Vec<usize>,
    scores: Vec<f64>,
    /// Mean, standard deviation and ordinal of all players after the match.
    after: Vec<[f64; 3]>,
}

/// The reference files in the repository, and in `openskill` of the folder in the environment.
fn files() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/openskill");
    let named =
        std::env::var_os("COVEY_REFERENCE").map(|folder| Path::new(&folder).join("openskill"));
    let files = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = [own].into_iter().chain(named).flat_map(files).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

#[test]
fn ratings_agree_with_openskill() {
    let files = files();
    assert!(!files.is_empty());
    for path in files {
        eprintln!("{}", path.display());
        let reference: Reference = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let Reference { mu, sigma, beta, tau, matches } = reference;
        let config = RatingConfig { mu, sigma, beta, tau, ..RatingConfig::default() };
        let mut ratings = vec![Rating::initial(&config); matches[0].after.len()];
        for (number, Match { players, scores, after }) in matches.iter().enumerate() {
            let own: Vec<_> = players.iter().map(|player| ratings[*player]).collect();
            for (player, rating) in players.iter().zip(play_match(&config, &own, scores).unwrap()) {
                ratings[*player] = rating;
            }
            for (rating, expected) in ratings.iter().zip(after) {
                for (got, expected) in
                    [rating.mu, rating.sigma, rating.ordinal()].iter().zip(expected)
                {
                    assert!(
                        (got - expected).abs() <= 5e-10,
                        "match {number}: {got} and {expected}"
                    );
                }
            }
        }
    }
}
