//! Presets: the hosts that package managers and their like need, under one name.

/// Rules under one name.
#[derive(Debug)]
pub struct Preset {
    /// What it is called, behind `preset:`.
    pub name: &'static str,
    /// Its rules.
    pub rules: &'static [&'static str],
}

const fn preset(name: &'static str, rules: &'static [&'static str]) -> Preset {
    Preset { name, rules }
}

/// Every preset there is.
pub static PRESETS: &[Preset] = &[
    preset("cargo", &["crates.io", "index.crates.io", "static.crates.io"]),
    preset("debian", &["deb.debian.org", "security.debian.org"]),
    preset(
        "github",
        &["github.com", "api.github.com", "codeload.github.com", "*.githubusercontent.com"],
    ),
    preset("go", &["proxy.golang.org", "sum.golang.org"]),
    preset("maven", &["repo.maven.apache.org", "repo1.maven.org"]),
    preset("npm", &["registry.npmjs.org"]),
    preset("pypi", &["pypi.org", "files.pythonhosted.org"]),
    preset("rubygems", &["rubygems.org", "index.rubygems.org"]),
    preset("ubuntu", &["archive.ubuntu.com", "security.ubuntu.com"]),
];
