//! Lines of `schemata`: `L3:0=7f0;1=1f`, a resource and for each of its instances a mask or a number.

/// Whether a group whose `schemata` reads so has the shares of a line already. Masks may be written with and without
/// leading zeros, and instances may be left out.
pub fn has(schemata: &str, line: &str) -> bool {
    let Some((resource, wanted)) = parts(line) else {
        return false;
    };
    let found = schemata.lines().filter_map(parts);
    let mut found = found.filter(|(name, _)| *name == resource);
    found.next().is_some_and(|(_, found)| {
        let has = |(instance, share): &(&str, String)| {
            let mut shares = found.iter();
            shares.any(|(other, value)| other == instance && value == share)
        };
        wanted.iter().all(has)
    })
}

type Shares<'a> = Vec<(&'a str, String)>;

fn parts(line: &str) -> Option<(&str, Shares<'_>)> {
    let (resource, shares) = line.split_once(':')?;
    let shares = shares.split(';').map(|share| {
        let (instance, value) = share.split_once('=')?;
        let value = value.trim().to_ascii_lowercase();
        let digits = value.trim_start_matches('0');
        Some((
            instance.trim(),
            if digits.is_empty() { "0" } else { digits }.to_owned(),
        ))
    });
    Some((resource.trim(), shares.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_what_its_file_says_however_it_is_written() {
        let schemata = "    MB:0= 20;1=100\n    L3:0=007f0;1=0001f\n";
        for line in [
            "L3:0=7f0;1=1f",
            "L3:1=1F",
            "L3: 0=7f0",
            "MB:0=20;1=100",
            "MB:1=100",
        ] {
            assert!(has(schemata, line), "{line}");
        }
        for line in [
            "L3:0=7f1", "L3:2=1f", "L2:0=7f0", "MB:0=10", "MB:", "L3", "",
        ] {
            assert!(!has(schemata, line), "{line}");
        }
    }
}
