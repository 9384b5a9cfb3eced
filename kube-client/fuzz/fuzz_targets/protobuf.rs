//! Fuzz target: see `kube_client::fuzz_targets::check_protobuf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kube_client::fuzz_targets::check_protobuf(data));
