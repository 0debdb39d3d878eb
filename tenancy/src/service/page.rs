//! Pages of listings. A token tells where the next page begins, signed together with what is listed: it carries no
//! rights, works on every node of a cluster, and not for another listing.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use mesh::ServiceError;
use sha2::Sha256;

const SIZE_DEFAULT: i32 = 50;
const SIZE_MAX: i32 = 200;
const MAC_BYTES: usize = 16;

/// Signs and reads page tokens.
pub struct Pages {
    key: Vec<u8>,
}

/// What a page is asked of: a method and everything that narrows its listing.
pub struct Listing<'a> {
    pub method: &'a str,
    pub parent: &'a str,
    pub filter: &'a str,
}

/// A page that was asked for.
pub struct Page<'a> {
    pages: &'a Pages,
    listing: Listing<'a>,
    /// Where it begins: after this, `None` for the first.
    pub after: Option<String>,
    /// How many are to be shown.
    size: usize,
}

impl Pages {
    pub fn new(key: Vec<u8>) -> Self {
        Self { key }
    }

    /// The page of a request.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a negative size and for a token that was not given out for this listing.
    pub fn page<'a>(
        &'a self,
        listing: Listing<'a>,
        size: i32,
        token: &str,
    ) -> Result<Page<'a>, ServiceError> {
        let size = match size {
            0 => SIZE_DEFAULT,
            1.. => size.min(SIZE_MAX),
            _ => return Err(ServiceError::invalid_field("page_size", "must be 0 or more")),
        };
        let after = match token {
            "" => None,
            token => Some(self.read(&listing, token).ok_or_else(|| {
                let why = "must come from the answer before, of the same listing";
                ServiceError::invalid_field("page_token", why)
            })?),
        };
        Ok(Page { pages: self, listing, after, size: usize::try_from(size).unwrap_or(1) })
    }

    fn read(&self, listing: &Listing<'_>, token: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (mac, cursor) = bytes.split_first_chunk::<MAC_BYTES>()?;
        self.signed(listing, cursor).verify_truncated_left(mac).ok()?;
        String::from_utf8(cursor.to_vec()).ok()
    }

    fn token(&self, listing: &Listing<'_>, cursor: &str) -> String {
        let mac = self.signed(listing, cursor.as_bytes()).finalize().into_bytes();
        let mut bytes = mac[..MAC_BYTES].to_vec();
        bytes.extend_from_slice(cursor.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn signed(&self, listing: &Listing<'_>, cursor: &[u8]) -> Hmac<Sha256> {
        // The MAC takes keys of any length.
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).unwrap_or_else(|_| Hmac::new(&Default::default()));
        for part in [listing.method.as_bytes(), listing.parent.as_bytes(), listing.filter.as_bytes(), cursor]
        {
            mac.update(&part.len().to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl Page<'_> {
    /// How many rows to ask the store for: one more than is shown tells whether there is a next page.
    pub fn limit(&self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX - 1) + 1
    }

    /// Cuts what the store gave to the page, and makes the next one's token.
    pub fn cut<T>(self, mut rows: Vec<T>, cursor: impl Fn(&T) -> String) -> (Vec<T>, String) {
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        let token = match rows.last() {
            Some(last) if more => self.pages.token(&self.listing, &cursor(last)),
            _ => String::new(),
        };
        (rows, token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing<'a>(method: &'a str, parent: &'a str, filter: &'a str) -> Listing<'a> {
        Listing { method, parent, filter }
    }

    #[test]
    fn a_token_works_for_its_listing_and_on_another_node() {
        let (node, other) = (Pages::new(vec![7; 32]), Pages::new(vec![7; 32]));
        let page = node.page(listing("m", "tenants/a", ""), 2, "").ok().unwrap();
        let (shown, token) = page.cut(vec!["a", "b", "c"], |last| (*last).to_owned());
        assert_eq!(shown, ["a", "b"]);
        let next = other.page(listing("m", "tenants/a", ""), 2, &token).ok().unwrap();
        assert_eq!((next.after.as_deref(), next.limit()), (Some("b"), 3));
        let (_, end) = next.cut(vec!["c"], |last| (*last).to_owned());
        assert_eq!(end, "");
    }

    #[test]
    fn a_token_works_for_nothing_else() {
        let pages = Pages::new(vec![7; 32]);
        let token = pages.token(&listing("m", "tenants/a", ""), "b");
        let stranger = Pages::new(vec![8; 32]);
        assert!(stranger.page(listing("m", "tenants/a", ""), 0, &token).is_err());
        for other in
            [listing("n", "tenants/a", ""), listing("m", "tenants/b", ""), listing("m", "tenants/a", "x")]
        {
            assert!(pages.page(other, 0, &token).is_err());
        }
        for bad in ["x", &token[1..], &format!("{token}A")] {
            assert!(pages.page(listing("m", "tenants/a", ""), 0, bad).is_err(), "{bad}");
        }
        assert!(pages.page(listing("m", "tenants/a", ""), -1, "").is_err());
        assert_eq!(pages.page(listing("m", "tenants/a", ""), 9999, "").ok().unwrap().limit(), 201);
    }
}
