//! The two forms of the rotary embedding in `config.json`.
//!
//! Before 2025, there are two fields: `rope_theta`, and `rope_scaling`, which is null or an object
//! with a `rope_type` (in the oldest files `type`). Since then, all values are in
//! `rope_parameters`. A file may have both forms if their values agree.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{Llama3Scaling, Rope};
use crate::error::HubError;

/// Theta of a file without one: the default of `LlamaConfig`.
const DEFAULT_THETA: f64 = 10_000.0;

/// `rope_parameters` or `rope_scaling`. Only the first has `rope_theta`.
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

/// All fields of `config.json` about the rotary embedding.
#[derive(Debug, Deserialize)]
pub(super) struct RopeFields {
    rope_theta: Option<f64>,
    rope_scaling: Option<RopeJson>,
    rope_parameters: Option<RopeJson>,
    partial_rotary_factor: Option<f64>,
}

impl RopeFields {
    /// The rotary embedding that the fields describe.
    pub(super) fn parse(&self, path: &Path) -> Result<Rope, HubError> {
        check_whole_heads(path, "partial_rotary_factor", self.partial_rotary_factor)?;
        let forms: Vec<_> =
            [("rope_parameters", &self.rope_parameters), ("rope_scaling", &self.rope_scaling)]
                .into_iter()
                .filter_map(|(field, form)| Some((field, form.as_ref()?)))
                .collect();
        let thetas =
            self.rope_theta.into_iter().chain(forms.iter().filter_map(|(_, form)| form.rope_theta));
        let scalings = forms
            .iter()
            .map(|(field, form)| form.parse(path, field))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Rope {
            theta: agreed(path, "rope_theta", thetas)?.unwrap_or(DEFAULT_THETA),
            scaling: agreed(path, "rope_scaling", scalings)?.flatten(),
        })
    }

    /// The fields of `config.json` in both forms, for old and new readers.
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
        // Families with several kinds of layers have one object for each kind.
        if let Some((name, value)) = self.other.iter().find(|(_, value)| value.is_object()) {
            let hint = "use a model with one rotary embedding for all layers";
            return Err(unsupported(path, format!("{field}.{name}"), value, hint));
        }
        match self.rope_type.as_deref().or(self.old_rope_type.as_deref()).unwrap_or("default") {
            "default" => Ok(None),
            "llama3" => self.llama3(path, field).map(Some),
            other => {
                // Scalings for long texts change short positions little, so removal may be enough.
                let hint = "use rope type `default` or `llama3`, or remove the scaling if texts \
                            are short";
                Err(unsupported(path, format!("{field}.rope_type"), other, hint))
            }
        }
    }

    fn llama3(&self, path: &Path, field: &str) -> Result<Llama3Scaling, HubError> {
        let positions = self.original_max_position_embeddings;
        Ok(Llama3Scaling {
            factor: required(path, field, "factor", self.factor)?,
            low_freq_factor: required(path, field, "low_freq_factor", self.low_freq_factor)?,
            high_freq_factor: required(path, field, "high_freq_factor", self.high_freq_factor)?,
            original_max_positions: required(
                path,
                field,
                "original_max_position_embeddings",
                positions,
            )?,
        })
    }
}

/// The value of a field that rope type `llama3` requires.
fn required<T>(path: &Path, field: &str, name: &str, value: Option<T>) -> Result<T, HubError> {
    let hint = "download the original file again; rope type `llama3` requires this field";
    value.ok_or_else(|| unsupported(path, format!("{field}.{name}"), "null", hint))
}

/// Checks that the whole width of each head is rotated, as the kernels do.
fn check_whole_heads(path: &Path, field: &str, factor: Option<f64>) -> Result<(), HubError> {
    match factor.filter(|factor| *factor != 1.0) {
        Some(factor) => {
            Err(unsupported(path, field, factor, "use a model that rotates whole heads (1.0)"))
        }
        None => Ok(()),
    }
}

/// The value on which all `values` agree; `None` if there are no values.
fn agreed<T: PartialEq + std::fmt::Debug>(
    path: &Path,
    field: &str,
    values: impl IntoIterator<Item = T>,
) -> Result<Option<T>, HubError> {
    let mut values = values.into_iter();
    let Some(first) = values.next() else { return Ok(None) };
    match values.find(|value| *value != first) {
        Some(second) => {
            // Each value may be the right one, so the user has to decide.
            let hint = "keep the value that the model was trained with, and remove the other";
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
