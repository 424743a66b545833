//! The formats of other systems, to move data in and out. Each is named by configuration: none is
//! ever guessed for a field of ours.

mod key_service;
#[cfg(feature = "pydynox")]
mod pydynox;

pub use key_service::{KeyService, ServiceContext, ServiceDataKey};
#[cfg(feature = "pydynox")]
pub use pydynox::{Pydynox, PydynoxFormat};
