//! Frames of SPDY/3.1, as far as port-forward needs them. The module performs no IO.
//!
//! As in Kubernetes, there is no flow control: `SETTINGS` and `WINDOW_UPDATE` frames are ignored.

mod dictionary;
mod frame;
mod headers;

pub(super) use frame::{Decoder, Encoder, Frame};
