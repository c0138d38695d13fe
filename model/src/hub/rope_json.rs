//! The two ways in which `config.json` tells how positions are embedded.
//!
//! Until 2025: `rope_theta` beside `rope_scaling`, which is null or names its
//! `rope_type` (earlier still: `type`). Since: all in one `rope_parameters`.
//! Files that hold both are read if both say the same.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{Llama3Scaling, Rope};
use crate::error::HubError;

/// What Llama means when it does not say.
const DEFAULT_THETA: f64 = 10_000.0;

/// `rope_parameters`, or `rope_scaling`: their fields differ by `rope_theta` only.
#[derive(Debug, Deserialize)]
pub(super) struct RopeJson {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    #[serde(rename = "type")]
    old_rope_type: Option<String>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    partial_rotary_factor: Option<f64>,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

/// Every field of `config.json` that speaks of positions.
#[derive(Debug, Deserialize)]
pub(super) struct RopeFields {
    rope_theta: Option<f64>,
    rope_scaling: Option<RopeJson>,
    rope_parameters: Option<RopeJson>,
    partial_rotary_factor: Option<f64>,
}

impl RopeFields {
    /// The embedding meant.
    pub(super) fn parse(&self, path: &Path) -> Result<Rope, HubError> {
        check_whole_heads(path, "partial_rotary_factor", self.partial_rotary_factor)?;
        let forms =
            [("rope_parameters", &self.rope_parameters), ("rope_scaling", &self.rope_scaling)];
        let present = || forms.iter().filter_map(|(field, form)| Some((*field, form.as_ref()?)));
        let thetas =
            self.rope_theta.into_iter().chain(present().filter_map(|(_, form)| form.rope_theta));
        let scalings = present()
            .map(|(field, form)| form.parse(path, field))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Rope {
            theta: agreed(path, "rope_theta", thetas)?.unwrap_or(DEFAULT_THETA),
            scaling: agreed(path, "rope_scaling", scalings)?.flatten(),
        })
    }

    /// Both forms, for readers of either age: the fields to put into `config.json`.
    pub(super) fn write(rope: &Rope) -> [(&'static str, Value); 3] {
        let theta = rope.theta;
        let Some(scaling) = &rope.scaling else {
            let parameters = json!({ "rope_theta": theta, "rope_type": "default" });
            return [
                ("rope_parameters", parameters),
                ("rope_scaling", Value::Null),
                ("rope_theta", theta.into()),
            ];
        };
        let old = json!({
            "factor": scaling.factor,
            "high_freq_factor": scaling.high_freq_factor,
            "low_freq_factor": scaling.low_freq_factor,
            "original_max_position_embeddings": scaling.original_max_positions,
            "rope_type": "llama3",
        });
        let mut new = old.clone();
        new["rope_theta"] = theta.into();
        [("rope_parameters", new), ("rope_scaling", old), ("rope_theta", theta.into())]
    }
}

impl RopeJson {
    fn parse(&self, path: &Path, field: &str) -> Result<Option<Llama3Scaling>, HubError> {
        check_whole_heads(
            path,
            &format!("{field}.partial_rotary_factor"),
            self.partial_rotary_factor,
        )?;
        if let Some((name, value)) = self.other.iter().find(|(_, value)| value.is_object()) {
            let hint = "one rope for all layers is supported, not one per kind of layer";
            return Err(unsupported(path, format!("{field}.{name}"), value, hint));
        }
        match self.rope_type.as_deref().or(self.old_rope_type.as_deref()).unwrap_or("default") {
            "default" => Ok(None),
            "llama3" => self.llama3(path, field).map(Some),
            other => {
                let hint = "the rope types `default` and `llama3` are supported; for short texts the model may work without scaling";
                Err(unsupported(path, format!("{field}.rope_type"), other, hint))
            }
        }
    }

    fn llama3(&self, path: &Path, field: &str) -> Result<Llama3Scaling, HubError> {
        let missing = |name: &str| {
            let hint = "rope type `llama3` needs it; fetch the original file again";
            unsupported(path, format!("{field}.{name}"), "nothing", hint)
        };
        Ok(Llama3Scaling {
            factor: self.factor.ok_or_else(|| missing("factor"))?,
            low_freq_factor: self.low_freq_factor.ok_or_else(|| missing("low_freq_factor"))?,
            high_freq_factor: self.high_freq_factor.ok_or_else(|| missing("high_freq_factor"))?,
            original_max_positions: self
                .original_max_position_embeddings
                .ok_or_else(|| missing("original_max_position_embeddings"))?,
        })
    }
}

fn check_whole_heads(path: &Path, field: &str, factor: Option<f64>) -> Result<(), HubError> {
    match factor.filter(|factor| *factor != 1.0) {
        Some(factor) => {
            Err(unsupported(path, field.to_owned(), factor, "whole heads are turned, that is 1.0"))
        }
        None => Ok(()),
    }
}

/// The value that all places which give one give; `None` if no place does.
fn agreed<T: PartialEq + std::fmt::Debug>(
    path: &Path,
    field: &str,
    values: impl IntoIterator<Item = T>,
) -> Result<Option<T>, HubError> {
    let mut values = values.into_iter();
    let Some(first) = values.next() else { return Ok(None) };
    match values.find(|value| *value != first) {
        Some(second) => {
            let hint =
                "the old and the new form disagree; keep the one that the model was trained with";
            Err(unsupported(path, field, format!("{first:?} and {second:?}"), hint))
        }
        None => Ok(Some(first)),
    }
}

pub(super) fn unsupported(
    path: &Path,
    field: impl Into<String>,
    value: impl ToString,
    hint: &str,
) -> HubError {
    HubError::Unsupported {
        path: path.to_owned(),
        field: field.into(),
        value: value.to_string(),
        hint: hint.to_owned(),
    }
}
