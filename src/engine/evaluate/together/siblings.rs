//! What series that have just begun take over from their siblings.

use rayon::prelude::*;

use crate::analysis::detect::Model;
use crate::engine::evaluate::Watched;
use crate::series::SeriesKey;

/// For each of `series` that is too young for a model of its own that of the most similar other one, if any is similar.
/// `labels` are those that siblings share; all series are siblings without.
pub fn lend_to_the_young(series: &[(&SeriesKey, &Watched)], labels: Option<&[String]>) -> Vec<(SeriesKey, Model)> {
    if !series.iter().any(|(_, watched)| watched.is_young()) {
        return Vec::new();
    }
    let family = |key: &SeriesKey| key.only(labels.unwrap_or_default());
    let young = series.par_iter().filter(|(_, watched)| watched.is_young());
    young
        .filter_map(|(key, watched)| {
            let window = watched.window()?;
            let siblings = series.iter().filter(|(other, _)| other != key && family(other) == family(key));
            let alike = siblings.filter_map(|(_, watched)| {
                let model = watched.model().filter(|model| !model.lent)?;
                Some((model, model.alike(window, watched.window()?)?))
            });
            let (model, _) = alike.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
            Some(((*key).clone(), model.lend(window)))
        })
        .collect()
}
