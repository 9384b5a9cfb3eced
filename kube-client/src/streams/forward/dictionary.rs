//! The dictionary of SPDY/3 (draft-mbelshe-httpbis-spdy-00, 2.6.10.1) for the compression of headers.

/// Words, separated by spaces. In the dictionary, the length of a word precedes the word.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges \
     age allow authorization cache-control connection content-base content-encoding content-language content-length \
     content-location content-md5 content-range content-type date etag expect expires from host if-match \
     if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
     proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
     user-agent vary via warning www-authenticate method get status";
/// Further words, separated by `|`. In the dictionary, the length of a word precedes the word.
const MORE_WORDS: &str = "200 OK|version|HTTP/1.1|url|public|set-cookie|keep-alive|origin";
/// The text after the words: status codes, reason phrases, dates and header values.
const TEXT: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
    203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden\
    404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable\
    Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT\
    chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,\
    publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/// The bytes of the dictionary.
pub(in crate::streams) fn dictionary() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1423);
    for word in WORDS.split_whitespace().chain(MORE_WORDS.split('|')) {
        bytes.extend_from_slice(&[0, 0, 0, u8::try_from(word.len()).unwrap_or_default()]);
        bytes.extend_from_slice(word.as_bytes());
    }
    bytes.extend_from_slice(TEXT.as_bytes());
    bytes
}
