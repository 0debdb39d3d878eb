//! CORE. Telephone numbers as Exotel writes them.

/// The E.164 form of an Indian number in any of the carrier's forms (`+91XXXXXXXXXX`, `91XXXXXXXXXX`, `0XXXXXXXXXX`, or
/// the ten digits alone). What is none of them stays as it is.
pub fn e164(raw: &str) -> String {
    let written: String =
        raw.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '(' | ')')).collect();
    let digits = written.strip_prefix('+').unwrap_or(&written);
    // A query in which the plus was not escaped has a space in its place.
    let international = written.starts_with('+') || raw.starts_with(' ');
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return raw.trim().to_owned();
    }
    if international {
        return format!("+{digits}");
    }
    match (digits.len(), digits.strip_prefix("00"), digits.strip_prefix('0')) {
        (3.., Some(rest), _) => format!("+{rest}"),
        (11, _, Some(national)) => format!("+91{national}"),
        (12, _, None) if digits.starts_with("91") => format!("+{digits}"),
        (10, _, None) => format!("+91{digits}"),
        _ => raw.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::e164;

    #[test]
    fn every_form_of_a_number_is_the_same_number() {
        for form in
            ["+918047100100", "918047100100", "08047100100", "8047100100", "080-4710 0100", " 918047100100"]
        {
            assert_eq!(e164(form), "+918047100100", "{form:?}");
        }
        assert_eq!(e164("+12025550100"), "+12025550100");
        assert_eq!(e164("0012025550100"), "+12025550100");
        assert_eq!(e164("\t08047100100"), "+918047100100");
        for other in ["anonymous", "", "00", "140123", "sip:a@b"] {
            assert_eq!(e164(other), other);
        }
    }
}
