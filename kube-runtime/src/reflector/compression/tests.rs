//! Tests of compression.

use super::*;
use crate::random::Rng;
use std::fmt::Write;
use std::num::NonZero;

/// Returns the text of the object `n`: at least `size` bytes that resemble the texts of other objects.
fn object_text(n: usize, size: usize) -> Vec<u8> {
    let mut text = format!("{{\"metadata\":{{\"name\":\"object-{n}\",\"labels\":{{\"app\":\"web\"}}}}");
    let mut random = Rng::with_seed(n as u64);
    while text.len() < size {
        let phase = ["Running", "Pending", "Failed"][random.usize(0..3)];
        let _ =
            write!(text, ",\"status-{}\":{{\"phase\":\"{phase}\",\"at\":{}}}", random.u8(..), random.u32(..));
    }
    text.into_bytes()
}

/// Compresses a text. Returns the method, and the bytes to store: the text itself if the method is `Plain`.
fn compress(compression: &Compression, text: &[u8]) -> (Vec<u8>, Method) {
    compression.compress(text, |bytes, method| (bytes.to_vec(), method))
}

/// Decompresses `bytes` to a text of `length` bytes.
fn decompress(compression: &Compression, bytes: &[u8], method: Method, length: usize) -> Option<Vec<u8>> {
    let length = u32::try_from(length).unwrap();
    let encoded = EncodedObject { bytes, length, method, identity: 1, uid: NonZero::new(1) };
    compression.decompress(&encoded, <[u8]>::to_vec)
}

/// Fills the dictionary.
fn fill_dictionary(compression: &Compression) {
    let mut n = 0;
    while compression.best_method() == Method::Plain {
        let text = object_text(n, 3000);
        assert_eq!(compress(compression, &text), (text.clone(), Method::Plain));
        n += 1;
    }
    assert_eq!(n, 11, "objects of 3,000 bytes fill the dictionary");
}

#[test]
fn decompression_restores_every_text() {
    let mut random = Rng::with_seed(7);
    let compression = Compression::default();
    fill_dictionary(&compression);
    let mut sizes: Vec<_> = (0..40).chain([63, 64, 65, 4095, 4096, 65_535, 65_536, 200_000]).collect();
    sizes.extend((0..100).map(|_| random.usize(0..20_000)));
    for size in sizes {
        let random_bytes: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
        let repeated = vec![b'x'; size];
        for text in [object_text(size, size), random_bytes, repeated] {
            let (bytes, method) = compress(&compression, &text);
            assert_eq!(method, Method::Lz4);
            assert!(decompress(&compression, &bytes, method, text.len()) == Some(text), "{size}");
        }
    }
    let object = object_text(1000, 5000);
    assert!(compress(&compression, &object).0.len() * 2 < object.len());
}

#[test]
fn the_size_of_the_dictionary_is_limited() {
    let compression = Compression::default();
    let large = object_text(0, 1 << 20);
    assert_eq!(compress(&compression, &large).1, Method::Plain);
    assert_eq!(compression.dictionary.get().map(|dictionary| dictionary.len()), Some(DICTIONARY_SIZE));
    let (bytes, method) = compress(&compression, &large);
    assert_eq!(decompress(&compression, &bytes, method, large.len()), Some(large));
}

#[test]
fn decompression_does_not_panic_on_corrupt_bytes_and_rejects_truncated_bytes() {
    let compression = Compression::default();
    fill_dictionary(&compression);
    let text = object_text(1, 3000);
    let (bytes, method) = compress(&compression, &text);
    let mut random = Rng::with_seed(1);
    for _ in 0..2000 {
        let mut bytes = bytes.clone();
        let at = random.usize(0..bytes.len());
        bytes[at] = random.u8(..);
        bytes.truncate(random.usize(0..=bytes.len()));
        let length = random.usize(0..=2 * text.len());
        let _ = decompress(&compression, &bytes, method, length);
    }
    assert_eq!(decompress(&compression, &bytes[..20], method, text.len()), None);
}

#[cfg(feature = "zstd")]
#[test]
fn zstd_compresses_better_than_lz4_with_the_same_dictionary() {
    let mut compression = Compression::default();
    fill_dictionary(&compression);
    let object = object_text(50, 3000);
    let (with_lz4, method) = compress(&compression, &object);
    assert_eq!(method, Method::Lz4);
    compression.use_zstd();
    for size in [0, 1, 100, 3000, 300_000] {
        let text = object_text(size, size);
        let (bytes, method) = compress(&compression, &text);
        assert_eq!(method, Method::Zstd);
        assert_eq!(decompress(&compression, &bytes, method, text.len()), Some(text));
        assert_eq!(decompress(&compression, &bytes[..bytes.len() / 2], method, size), None);
    }
    assert!(compress(&compression, &object).0.len() < with_lz4.len());
}
