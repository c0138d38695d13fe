//! Division of a model and of a batch among devices.

use covey_model::config::{ModelConfig, ParameterSpec};
use covey_model::error::BatchError;
use covey_model::network::TokenBatch;
use covey_optim::fsdp::{FsdpError, ParameterSize, Plan, slab_alignment};

/// The division of a model into one shard per device.
///
/// # Errors
/// [`FsdpError`] if there are more devices than pieces that can be owned.
pub fn plan(model: &ModelConfig, members: usize) -> Result<Plan, FsdpError> {
    let parameters = model.parameters();
    let blocks = parameters.blocks.iter().map(|block| block.iter().map(size).collect());
    // The final norm is too small for a separate gather, so it shares a unit with the head.
    let last = [&parameters.norm].into_iter().chain(&parameters.head).map(size).collect();
    let units =
        [vec![size(&parameters.embedding)]].into_iter().chain(blocks).chain([last]).collect();
    Plan::new(members, units)
}

fn size(spec: &ParameterSpec) -> ParameterSize {
    ParameterSize { elements: spec.num_elements(), alignment: slab_alignment(&spec.shape) }
}

/// Divides windows of `length` + 1 tokens among `members` devices, in micro-batches of at most
/// `micro_batch_size` windows.
///
/// Each device gets consecutive windows; numbers of windows differ by at most one.
///
/// # Errors
/// [`BatchError`] for tokens that are not windows, or are outside the vocabulary.
pub(crate) fn micro_batches(
    tokens: &[u32],
    length: usize,
    members: usize,
    micro_batch_size: usize,
    model: &ModelConfig,
) -> Result<Vec<Vec<TokenBatch>>, BatchError> {
    let window = length + 1;
    if tokens.is_empty() || !tokens.len().is_multiple_of(window) {
        return Err(BatchError::Ragged { tokens: tokens.len(), sequences: tokens.len() / window });
    }
    let windows = tokens.len() / window;
    // Rounding up spreads the additional windows over the devices.
    let starts: Vec<usize> =
        (0..=members).map(|member| (windows * member).div_ceil(members) * window).collect();
    let own = starts.iter().zip(&starts[1..]).map(|(start, end)| &tokens[*start..*end]);
    own.map(|own| {
        let micro = own.chunks(micro_batch_size * window);
        micro.map(|tokens| TokenBatch::new(tokens, tokens.len() / window, model)).collect()
    })
    .collect()
}

/// The micro-batches of all devices, `count` per device at a time.
///
/// One gather of the weights serves the micro-batches of an item.
pub(crate) fn together(
    batches: &[Vec<TokenBatch>],
    count: usize,
) -> impl Iterator<Item = Vec<Vec<TokenBatch>>> {
    let most = batches.iter().map(Vec::len).max().unwrap_or(0);
    (0..most).step_by(count.max(1)).map(move |first| {
        // A device may have fewer micro-batches than the others, and then gets an empty list.
        let parts = batches.iter().map(|own| own.iter().skip(first).take(count.max(1)));
        parts.map(|part| part.cloned().collect()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use covey_model::config::preset;

    fn sizes(windows: usize, members: usize, micro: usize) -> Vec<Vec<usize>> {
        let model = ModelConfig { vocab_size: 100, ..preset("tiny").unwrap() };
        let tokens: Vec<u32> = (0..windows as u32 * 5).map(|token| token % 100).collect();
        let batches = micro_batches(&tokens, 4, members, micro, &model).unwrap();
        batches
            .iter()
            .map(|own| own.iter().map(|batch| batch.num_targets() / 4).collect())
            .collect()
    }

    #[test]
    fn each_window_goes_to_one_device() {
        assert_eq!(sizes(8, 1, 3), [vec![3, 3, 2]]);
        assert_eq!(sizes(8, 2, 2), [vec![2, 2], vec![2, 2]]);
        assert_eq!(sizes(5, 3, 8), [vec![2], vec![2], vec![1]]);
        assert_eq!(sizes(2, 4, 8), [vec![1], vec![], vec![1], vec![]]);
    }

    #[test]
    fn micro_batches_keep_their_order() {
        let model = ModelConfig { vocab_size: 100, ..preset("tiny").unwrap() };
        let tokens: Vec<u32> = (0..25).collect();
        let batches = micro_batches(&tokens, 4, 2, 1, &model).unwrap();
        let counts = |count| -> Vec<Vec<usize>> {
            together(&batches, count).map(|part| part.iter().map(Vec::len).collect()).collect()
        };
        assert_eq!(counts(1), [vec![1, 1], vec![1, 1], vec![1, 0]]);
        assert_eq!(counts(2), [vec![2, 2], vec![1, 0]]);
        assert_eq!(counts(9), [vec![3, 2]]);
    }
}
