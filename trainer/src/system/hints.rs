//! Hints of the errors of other crates.

use covey_comms::bucket::BucketError;
use covey_comms::bucket::server::ServerError;
use covey_comms::ledger::{LedgerError, Rejection};
use covey_comms::objects::{ManifestError, UnknownKey};
use covey_comms::primitives::{IdentityError, NotHex};
use covey_comms::run::{CommsError, DescriptionError};
use covey_data::error::DataError;
use covey_model::error::{BatchError, HubError, ModelConfigError};
use covey_model::generation::SamplingError;
use covey_optim::codec::DecodeError;
use covey_optim::error::{OptimError, SettingError};
use covey_optim::fsdp::FsdpError;
use covey_optim::sparseloco::SparseLocoError;

use super::error::Hint;

/// Errors with a method `hint` that the command line never causes.
macro_rules! own_hint {
    ($($error:ty),+ $(,)?) => { $(
        impl Hint for $error {
            fn hint(&self) -> Option<String> {
                Self::hint(self)
            }
        }
    )+ };
}

/// Errors without advice.
macro_rules! no_hint {
    ($($error:ty),+ $(,)?) => { $(
        impl Hint for $error {
            fn hint(&self) -> Option<String> {
                None
            }
        }
    )+ };
}

own_hint!(
    BatchError,
    DecodeError,
    DescriptionError,
    HubError,
    IdentityError,
    ManifestError,
    OptimError,
    Rejection,
    ServerError,
    SparseLocoError,
);

no_hint!(
    std::io::Error,
    std::fmt::Error,
    std::num::ParseIntError,
    std::num::TryFromIntError,
    std::string::FromUtf8Error,
    serde_json::Error,
    safetensors::SafeTensorError,
    std::sync::mpsc::RecvError,
    toml::ser::Error,
    ctrlc::Error,
    NotHex,
    UnknownKey,
);

impl Hint for BucketError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }

    fn is_usage(&self) -> bool {
        matches!(self, Self::InvalidUrl { .. } | Self::Misconfigured { .. })
    }
}

impl Hint for CommsError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }

    fn is_usage(&self) -> bool {
        matches!(self, Self::Bucket(error) if error.is_usage())
    }
}

impl Hint for LedgerError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }

    fn is_usage(&self) -> bool {
        matches!(self, Self::Bucket(error) if error.is_usage())
    }
}

impl Hint for DataError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }

    fn is_usage(&self) -> bool {
        matches!(self, Self::Setting { .. })
    }
}

impl Hint for SamplingError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }

    fn is_usage(&self) -> bool {
        matches!(self, Self::Setting { .. })
    }
}

impl Hint for FsdpError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }

    fn is_usage(&self) -> bool {
        true
    }
}

/// Impossible numbers that the user wrote: in a model folder they are a [`HubError`].
impl Hint for ModelConfigError {
    fn hint(&self) -> Option<String> {
        None
    }

    fn is_usage(&self) -> bool {
        true
    }
}

impl Hint for SettingError {
    fn hint(&self) -> Option<String> {
        None
    }

    fn is_usage(&self) -> bool {
        true
    }
}

#[cfg(feature = "evm")]
no_hint!(covey_comms::ledger::backends::evm::WalletError);
