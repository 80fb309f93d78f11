//! What a PKCS#11 return value means to us: the one map from `CKR_` codes to [`hsm::Error`](Error).
//!
//! No wildcard: a code that a new `cryptoki` knows must be put somewhere by hand.

use cryptoki::error::{Error as P11, RvError};

use crate::hsm::Error;

/// The class of a return value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// We or the module broke the contract of PKCS#11.
    Bug,
    /// A key, its template, its use or the PIN is wrong: asking again cannot help.
    Key,
    /// Token, module or session failed; the call may or may not have been carried out.
    Lost,
    /// The token does not offer this function, mechanism or template.
    Unsupported,
}

/// The error of the port for an error of PKCS#11. `doing` says what was asked for, and names the key if there is one.
pub(super) fn error(doing: &str, error: &P11) -> Error {
    let text = format!("{doing}: {}", describe(error));
    match class(error) {
        Class::Bug => Error::Bug(text),
        Class::Key | Class::Unsupported => Error::WrongKey(text),
        Class::Lost => Error::Unavailable(text),
    }
}

/// The error in the words of the standard, such as `SignInit: DeviceError`.
pub(super) fn describe(error: &P11) -> String {
    match error {
        P11::Pkcs11(value, function) => format!("{function:?}: {value:?}"),
        P11::LibraryLoading(_)
        | P11::NotSupported
        | P11::TryFromInt(_)
        | P11::TryFromSlice(_)
        | P11::ParseInt(_)
        | P11::Utf8(_)
        | P11::NulError(_)
        | P11::NullFunctionPointer
        | P11::MissingSymbol(_)
        | P11::InvalidValue
        | P11::PinNotSet => error.to_string(),
    }
}

/// The class of an error.
pub(super) const fn class(error: &P11) -> Class {
    match error {
        P11::Pkcs11(value, _) => class_of_value(value),
        P11::LibraryLoading(_) | P11::MissingSymbol(_) => Class::Lost,
        P11::NotSupported | P11::NullFunctionPointer => Class::Unsupported,
        P11::TryFromInt(_)
        | P11::TryFromSlice(_)
        | P11::ParseInt(_)
        | P11::Utf8(_)
        | P11::NulError(_)
        | P11::InvalidValue
        | P11::PinNotSet => Class::Bug,
    }
}

const fn class_of_value(value: &RvError) -> Class {
    match value {
        // The token, the way to it, or the session is gone or in an unknown state. A handle that was good at
        // start-up and is not now means a lost token or a removed key; the probe tells.
        RvError::Cancel
        | RvError::CantLock
        | RvError::CryptokiNotInitialized
        | RvError::DeviceError
        | RvError::DeviceMemory
        | RvError::DeviceRemoved
        | RvError::FipsSelfTestFailed
        | RvError::FunctionCanceled
        | RvError::FunctionFailed
        | RvError::FunctionRejected
        | RvError::GeneralError
        | RvError::HostMemory
        | RvError::KeyHandleInvalid
        | RvError::LibraryLoadFailed
        | RvError::MutexBad
        | RvError::MutexNotLocked
        | RvError::ObjectHandleInvalid
        | RvError::OperationActive
        | RvError::OperationNotInitialized
        | RvError::RandomNoRng
        | RvError::SessionClosed
        | RvError::SessionCount
        | RvError::SessionHandleInvalid
        | RvError::SlotIdInvalid
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::UnknownErrorCode(_)
        | RvError::UserNotLoggedIn
        | RvError::VendorDefined(_) => Class::Lost,

        RvError::ActionProhibited
        | RvError::AttributeReadOnly
        | RvError::AttributeSensitive
        | RvError::AttributeValueInvalid
        | RvError::EncryptedDataInvalid
        | RvError::EncryptedDataLenRange
        | RvError::InformationSensitive
        | RvError::KeyChanged
        | RvError::KeyFunctionNotPermitted
        | RvError::KeyIndigestible
        | RvError::KeyNeeded
        | RvError::KeyNotNeeded
        | RvError::KeyNotWrappable
        | RvError::KeySizeRange
        | RvError::KeyTypeInconsistent
        | RvError::KeyUnextractable
        | RvError::NewPinMode
        | RvError::NextOtp
        | RvError::PinExpired
        | RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinLocked
        | RvError::PinTooWeak
        | RvError::PublicKeyInvalid
        | RvError::SignatureInvalid
        | RvError::SignatureLenRange
        | RvError::TokenWriteProtected
        | RvError::UnwrappingKeyHandleInvalid
        | RvError::UnwrappingKeySizeRange
        | RvError::UnwrappingKeyTypeInconsistent
        | RvError::UserPinNotInitialized
        | RvError::WrappedKeyInvalid
        | RvError::WrappedKeyLenRange
        | RvError::WrappingKeyHandleInvalid
        | RvError::WrappingKeySizeRange
        | RvError::WrappingKeyTypeInconsistent => Class::Key,

        RvError::AttributeTypeInvalid
        | RvError::CurveNotSupported
        | RvError::DomainParamsInvalid
        | RvError::FunctionNotParallel
        | RvError::FunctionNotSupported
        | RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::NeedToCreateThreads
        | RvError::RandomSeedNotSupported
        | RvError::SessionParallelNotSupported
        | RvError::StateUnsaveable
        | RvError::TemplateIncomplete
        | RvError::TemplateInconsistent => Class::Unsupported,

        RvError::ArgumentsBad
        | RvError::BufferTooSmall
        | RvError::CryptokiAlreadyInitialized
        | RvError::DataInvalid
        | RvError::DataLenRange
        | RvError::ExceededMaxIterations
        | RvError::NoEvent
        | RvError::SavedStateInvalid
        | RvError::SessionExists
        | RvError::SessionReadOnly
        | RvError::SessionReadOnlyExists
        | RvError::SessionReadWriteSoExists
        | RvError::UserAlreadyLoggedIn
        | RvError::UserAnotherAlreadyLoggedIn
        | RvError::UserTooManyTypes
        | RvError::UserTypeInvalid => Class::Bug,
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn classes_reach_the_port() {
        let made = |value| error("key \"print\"", &P11::Pkcs11(value, Function::Sign));
        assert_eq!(made(RvError::DeviceError), Error::Unavailable("key \"print\": Sign: DeviceError".into()));
        assert!(matches!(made(RvError::KeyFunctionNotPermitted), Error::WrongKey(_)));
        assert!(matches!(made(RvError::MechanismInvalid), Error::WrongKey(_)));
        assert!(matches!(made(RvError::ArgumentsBad), Error::Bug(_)));
        // Seen from a lost SoftHSM token and a dead p11-kit connection: never the caller's fault.
        for lost in [RvError::ObjectHandleInvalid, RvError::GeneralError, RvError::SessionHandleInvalid] {
            assert!(matches!(made(lost), Error::Unavailable(_)));
        }
    }
}
