//! What programs do that may lose work, as a table. What is not in it counts nothing.
//!
//! The points say how much of the work in the task's files is gone if the command was a mistake: about 50
//! where a mistake is final for many files, 25 where it is for one, less where it is likely to be mended.

use super::call::{Call, FED_SHELL, REMOVING_CODE, REPLACING};
use super::line::Word;
use super::score::RiskKind::{
    self, Breadth, Deletes, Generates, Installs, Overwrites, Rewrites, Unread,
};
use super::score::RiskPart;
use crate::sandbox::paths;

/// What somebody calls, and what that does. Of a program's rules the first one counts that fits.
struct Rule {
    programs: &'static [&'static str],
    /// The words behind the program, one of these; none where they do not matter.
    verbs: &'static [&'static str],
    /// Options, or words, one of which has to be there; none where none has to.
    with: &'static [&'static str],
    /// Options, or words, none of which may be there.
    without: &'static [&'static str],
    kind: RiskKind,
    points: u32,
    reach: Reach,
    does: &'static str,
}

/// How much a call means.
#[derive(Clone, Copy)]
enum Reach {
    /// What its points say.
    Fixed,
    /// All that is there.
    All,
    /// What it names, or all that is there when it names nothing.
    AllUnlessNamed,
    /// What it names; with one of these options, with all that is below.
    Named(&'static [&'static str]),
}

use Reach::{All, AllUnlessNamed, Fixed, Named};

const BELOW: Reach = Named(&["-r", "-R", "--recursive"]);

const RULE: Rule = Rule {
    programs: &[],
    verbs: &[],
    with: &[],
    without: &[],
    kind: Overwrites,
    points: 0,
    reach: Fixed,
    does: "",
};

/// Options of programs with words of their own that take a value.
const VALUED: &[(&str, &[&str])] = &[
    ("git", &["-C", "-c", "--git-dir", "--work-tree"]),
    ("cargo", &["-C", "-p", "--config", "--manifest-path", "--package"]),
    ("make", &["-C", "-f"]),
    ("npm", &["-C", "-w", "--prefix", "--workspace"]),
    ("pnpm", &["-C", "--dir", "--filter"]),
    ("yarn", &["--cwd"]),
];

const LOOKS_ONLY: &[&str] = &["--dry-run", "--help", "-h", "-n"];
const NODE: &[&str] = &["bun", "npm", "pnpm", "yarn"];
const PYTHON: &[&str] = &["conda", "pip", "pipenv", "pipx", "poetry"];
const OTHERS: &[&str] = &["bundle", "composer", "gem", "mix"];

/// The first that fits counts.
#[rustfmt::skip]
static RULES: &[Rule] = &[
    // Files go.
    Rule { programs: &["rm", "trash", "del", "rimraf"], kind: Deletes, points: 25, reach: BELOW, does: "removes files", ..RULE },
    Rule { programs: &["unlink"], kind: Deletes, points: 25, reach: Named(&[]), does: "removes a file", ..RULE },
    Rule { programs: &["rmdir"], kind: Deletes, points: 5, reach: Named(&[]), does: "removes empty folders", ..RULE },
    Rule { programs: &["shred"], kind: Deletes, points: 40, reach: Named(&[]), does: "destroys files", ..RULE },
    Rule { programs: &["truncate"], kind: Deletes, points: 30, reach: Named(&[]), does: "cuts files off", ..RULE },
    Rule { programs: &["find", "fd"], with: &["-delete"], kind: Deletes, points: 30, reach: All, does: "removes what it finds", ..RULE },
    Rule { programs: &[REMOVING_CODE], kind: Deletes, points: 30, reach: Named(&[]), does: "code in the command line removes files", ..RULE },
    Rule { programs: &["make", "ninja", "just"], verbs: &["clean", "distclean", "mrproper", "realclean"], without: LOOKS_ONLY, kind: Deletes, points: 15, does: "removes what was made", ..RULE },
    Rule { programs: &["cargo", "mvn", "gradle", "gradlew", "sbt"], verbs: &["clean"], without: LOOKS_ONLY, kind: Deletes, points: 10, does: "removes what was built", ..RULE },
    // Git, where work is thrown away or another tree is put in its place.
    Rule { programs: &["git"], verbs: &["clean"], without: LOOKS_ONLY, kind: Deletes, points: 25, reach: AllUnlessNamed, does: "removes files that git does not have", ..RULE },
    Rule { programs: &["git"], verbs: &["rm"], without: &["--cached", "--dry-run", "-n"], kind: Deletes, points: 25, reach: BELOW, does: "removes files", ..RULE },
    Rule { programs: &["git"], verbs: &["reset"], with: &["--hard", "--merge", "--keep"], kind: Rewrites, points: 50, does: "throws changes away", ..RULE },
    Rule { programs: &["git"], verbs: &["reset"], kind: Rewrites, points: 10, does: "moves the branch, or forgets what was added", ..RULE },
    Rule { programs: &["git"], verbs: &["checkout", "switch"], with: &["-f", "--force", "--discard-changes"], kind: Rewrites, points: 50, does: "throws changes away", ..RULE },
    Rule { programs: &["git"], verbs: &["checkout", "switch"], with: &["-b", "-B", "-c", "-C", "--orphan"], kind: Rewrites, points: 5, does: "begins a branch", ..RULE },
    Rule { programs: &["git"], verbs: &["checkout"], with: &["--", ".", "./", ":/"], kind: Rewrites, points: 30, reach: Named(&[]), does: "throws changes away", ..RULE },
    Rule { programs: &["git"], verbs: &["restore"], with: &["--staged"], without: &["--worktree", "-W"], kind: Rewrites, points: 5, does: "forgets what was added", ..RULE },
    Rule { programs: &["git"], verbs: &["restore"], kind: Rewrites, points: 30, reach: Named(&[]), does: "throws changes away", ..RULE },
    Rule { programs: &["git"], verbs: &["checkout", "switch"], kind: Rewrites, points: 15, does: "puts another tree in its place", ..RULE },
    Rule { programs: &["git"], verbs: &["stash drop", "stash clear"], kind: Rewrites, points: 50, does: "throws put away changes away", ..RULE },
    Rule { programs: &["git"], verbs: &["stash list", "stash show"], ..RULE },
    Rule { programs: &["git"], verbs: &["stash"], kind: Rewrites, points: 25, does: "takes changes out of the tree, or puts them in", ..RULE },
    Rule { programs: &["git"], verbs: &["rebase", "filter-branch", "filter-repo"], without: LOOKS_ONLY, kind: Rewrites, points: 40, does: "writes commits anew", ..RULE },
    Rule { programs: &["git"], verbs: &["merge", "pull"], without: LOOKS_ONLY, kind: Rewrites, points: 30, does: "brings others' changes into the tree", ..RULE },
    Rule { programs: &["git"], verbs: &["cherry-pick", "revert", "am", "apply"], without: &["--check", "--stat"], kind: Rewrites, points: 20, does: "changes files by a patch", ..RULE },
    Rule { programs: &["git"], verbs: &["commit"], with: &["--amend"], kind: Rewrites, points: 20, does: "puts another commit in the place of the last one", ..RULE },
    Rule { programs: &["git"], verbs: &["branch", "tag"], with: &["-D", "-d", "-f", "--delete", "--force"], kind: Rewrites, points: 25, does: "removes or moves branches or tags", ..RULE },
    Rule { programs: &["git"], verbs: &["update-ref", "reflog expire", "reflog delete", "gc", "prune"], kind: Rewrites, points: 25, does: "may remove commits", ..RULE },
    Rule { programs: &["git"], verbs: &["worktree remove", "submodule deinit", "submodule update"], kind: Rewrites, points: 25, does: "removes or changes trees", ..RULE },
    Rule { programs: &["git"], verbs: &["mv"], kind: Overwrites, points: 15, reach: Named(&[]), does: "moves files", ..RULE },
    // Files become other ones, or are elsewhere.
    Rule { programs: &["mv"], without: &["--no-clobber"], kind: Overwrites, points: 15, reach: Named(&[]), does: "moves files, perhaps over others", ..RULE },
    Rule { programs: &["cp", "install", "ln"], with: &["-f", "--force"], kind: Overwrites, points: 20, reach: BELOW, does: "puts files in the place of others", ..RULE },
    Rule { programs: &["cp"], without: &["-n", "--no-clobber"], kind: Overwrites, points: 5, reach: BELOW, does: "copies files, perhaps over others", ..RULE },
    Rule { programs: &["rsync"], with: &["--delete", "--del", "--delete-after", "--delete-before", "--delete-during", "--remove-source-files"], without: &["-n", "--dry-run"], kind: Deletes, points: 50, does: "removes what the other side does not have", ..RULE },
    Rule { programs: &["rsync"], without: &["-n", "--dry-run"], kind: Overwrites, points: 20, does: "copies trees over each other", ..RULE },
    Rule { programs: &["sed"], with: &["-i", "--in-place"], kind: Overwrites, points: 20, reach: Named(&[]), does: "changes files in their place", ..RULE },
    Rule { programs: &["perl", "ruby"], with: &["-i"], kind: Overwrites, points: 20, reach: Named(&[]), does: "changes files in their place", ..RULE },
    Rule { programs: &["dd"], with: &["of="], kind: Overwrites, points: 30, does: "writes over a file", ..RULE },
    Rule { programs: &["tee", "sponge"], without: &["-a", "--append"], kind: Overwrites, points: 10, reach: Named(&[]), does: "writes files anew", ..RULE },
    Rule { programs: &[REPLACING], kind: Overwrites, points: 10, reach: Named(&[]), does: "writes files anew", ..RULE },
    Rule { programs: &["patch"], without: &["--dry-run"], kind: Overwrites, points: 20, does: "changes files by a patch", ..RULE },
    Rule { programs: &["tar"], with: &["-x", "--extract", "x", "xf", "xzf", "xvf", "xvzf", "xzvf", "xJf", "xjf"], without: &["-k", "--keep-old-files", "-O", "--to-stdout"], kind: Overwrites, points: 15, does: "unpacks, perhaps over files", ..RULE },
    Rule { programs: &["unzip", "7z"], without: &["-l", "-n", "-p", "-t", "-v"], kind: Overwrites, points: 15, does: "unpacks, perhaps over files", ..RULE },
    Rule { programs: &["chmod", "chown", "chgrp", "setfacl"], kind: Overwrites, points: 10, reach: BELOW, does: "changes who may do what with files", ..RULE },
    // Packages.
    Rule { programs: NODE, verbs: &["install", "i", "ci", "add", "update", "up", "upgrade", "dedupe", "link"], without: LOOKS_ONLY, kind: Installs, points: 20, does: "installs or updates packages", ..RULE },
    Rule { programs: NODE, verbs: &["uninstall", "remove", "rm", "prune"], without: LOOKS_ONLY, kind: Installs, points: 20, does: "removes packages", ..RULE },
    Rule { programs: &["npm"], verbs: &["audit fix"], without: LOOKS_ONLY, kind: Installs, points: 25, does: "updates packages", ..RULE },
    Rule { programs: PYTHON, verbs: &["install", "uninstall", "add", "remove", "update", "upgrade", "sync", "lock"], without: LOOKS_ONLY, kind: Installs, points: 20, does: "installs, updates or removes packages", ..RULE },
    Rule { programs: &["uv"], verbs: &["pip install", "pip uninstall", "pip sync", "add", "remove", "sync", "lock"], without: LOOKS_ONLY, kind: Installs, points: 20, does: "installs, updates or removes packages", ..RULE },
    Rule { programs: &["cargo"], verbs: &["update", "upgrade", "add", "remove", "rm"], without: LOOKS_ONLY, kind: Installs, points: 20, does: "changes what is depended upon", ..RULE },
    Rule { programs: &["go"], verbs: &["get", "mod tidy", "mod edit", "mod vendor"], kind: Installs, points: 20, does: "changes what is depended upon", ..RULE },
    Rule { programs: OTHERS, verbs: &["install", "update", "require", "remove", "uninstall", "deps.get", "deps.update"], without: LOOKS_ONLY, kind: Installs, points: 20, does: "installs, updates or removes packages", ..RULE },
    // Data and files that a program changes as it sees fit.
    Rule { programs: &["manage.py"], verbs: &["flush", "reset_db", "sqlflush"], kind: Deletes, points: 40, does: "empties a database", ..RULE },
    Rule { programs: &["manage.py", "artisan", "alembic", "diesel", "sqlx", "sea-orm-cli", "flyway", "liquibase", "knex", "typeorm", "sequelize", "dbmate", "goose", "prisma", "rails", "rake", "ecto", "atlas"],
        verbs: &["migrate", "migration run", "migration redo", "migration revert", "migration:run", "migration:revert", "migrate:latest", "migrate:rollback", "migrate:fresh", "migrate:reset", "migrate dev", "migrate reset", "migrate deploy", "db push", "db:migrate", "db:rollback", "db:drop", "db:reset", "db:schema:load", "database drop", "database reset", "upgrade", "downgrade", "update", "up", "down", "clean", "rollback"],
        without: LOOKS_ONLY, kind: Generates, points: 30, does: "changes a database", ..RULE },
    Rule { programs: &["dropdb", "mysqladmin"], kind: Deletes, points: 30, does: "may remove a database", ..RULE },
    Rule { programs: &["terraform", "tofu", "pulumi"], verbs: &["apply", "destroy", "up"], kind: Generates, points: 30, does: "changes what it manages", ..RULE },
    Rule { programs: &["cargo"], verbs: &["fix", "clippy"], with: &["--fix", "--allow-dirty"], kind: Generates, points: 25, does: "changes files as it sees fit", ..RULE },
    Rule { programs: &["cargo"], verbs: &["fix"], kind: Generates, points: 25, does: "changes files as it sees fit", ..RULE },
    Rule { programs: &["cargo", "go", "mix", "dart", "deno", "terraform"], verbs: &["fmt", "format"], without: &["--check", "--dry-run"], kind: Generates, points: 10, does: "writes files anew", ..RULE },
    Rule { programs: &["cargo"], verbs: &["insta accept"], kind: Generates, points: 10, does: "writes files anew", ..RULE },
    Rule { programs: &["eslint", "stylelint", "ruff", "rubocop", "golangci-lint", "biome", "pylint", "ktlint"], with: &["--fix", "--fix-all", "-a", "-A", "-F", "--autocorrect", "--apply", "--write"], kind: Generates, points: 20, does: "changes files as it sees fit", ..RULE },
    Rule { programs: &["prettier", "gofmt", "goimports", "clang-format", "shfmt", "yapf", "autopep"], with: &["-w", "--write", "-i", "--in-place"], kind: Generates, points: 15, does: "writes files anew", ..RULE },
    Rule { programs: &["black", "isort", "rustfmt", "ruff"], verbs: &[], without: &["--check", "--diff", "check", "--version"], kind: Generates, points: 15, does: "writes files anew", ..RULE },
    Rule { programs: &["jscodeshift", "codemod", "comby", "ast-grep", "sg", "2to", "pyupgrade", "openapi-generator", "protoc", "buf", "sqlc", "swagger-codegen", "graphql-codegen"], without: &["--help", "--version", "--dry", "--dry-run"], kind: Generates, points: 20, does: "writes files as it sees fit", ..RULE },
    // Nobody knows.
    Rule { programs: &[FED_SHELL], kind: Unread, points: 25, does: "a shell runs what comes from elsewhere", ..RULE },
];

/// What a rule says of a call.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    /// Which.
    pub(super) rule: usize,
    /// What is called, in the rule's words.
    called: String,
    breadth: Option<(u32, &'static str)>,
}

impl Hit {
    /// All that it counts.
    pub(super) fn points(&self) -> u32 {
        RULES[self.rule].points + self.breadth.map_or(0, |(points, _)| points)
    }

    /// The same in parts.
    pub(super) fn parts(self) -> impl Iterator<Item = RiskPart> {
        let Rule { kind, points, does, .. } = RULES[self.rule];
        let breadth = self.breadth.map(|(points, why)| RiskPart {
            kind: Breadth,
            points,
            why: format!("{}: {why}", self.called),
        });
        let why = format!("{}: {does}", self.called);
        [RiskPart { kind, points, why }].into_iter().chain(breadth)
    }
}

/// What the table says of a call.
pub(super) fn hit(call: &Call) -> Option<Hit> {
    let mut rules = RULES.iter().enumerate();
    let (number, rule, called) = rules.find_map(|(number, rule)| {
        let called = rule.fits(call)?;
        Some((number, rule, called))
    })?;
    let words = called.split(' ').count() - 1;
    let targets: Vec<_> = operands(call).skip(words).collect();
    let is_elsewhere = !targets.is_empty() && targets.iter().all(|word| is_elsewhere(word));
    if rule.points == 0 || is_elsewhere {
        return None;
    }
    Some(Hit { rule: number, called: format!("`{called}`"), breadth: rule.breadth(call, &targets) })
}

impl Rule {
    /// What it calls the call, if it is about it.
    fn fits(&self, call: &Call) -> Option<String> {
        let program = self.programs.iter().find(|program| **program == call.program)?;
        let called = if self.verbs.is_empty() {
            (*program).to_owned()
        } else {
            let verb = self.verbs.iter().find(|verb| {
                let mut operands = operands(call);
                verb.split(' ').all(|word| operands.next().is_some_and(|one| one.text == word))
            })?;
            format!("{program} {verb}")
        };
        let has = |options: &[&str]| options.iter().any(|option| has(call, option));
        ((self.with.is_empty() || has(self.with)) && !has(self.without)).then_some(called)
    }

    /// How much more it is than what it does to one.
    fn breadth(&self, call: &Call, targets: &[&Word]) -> Option<(u32, &'static str)> {
        let all = Some((25, "all that is there is meant"));
        let options = match self.reach {
            Fixed => return None,
            All => return all,
            AllUnlessNamed if targets.is_empty() => return all,
            AllUnlessNamed => &[],
            Named(options) => options,
        };
        let any = |is: fn(&Word) -> bool| targets.iter().any(|word| is(word));
        let aspects = [
            (call.is_repeated, 25, "for each of several"),
            (options.iter().any(|option| has(call, option)), 25, "with all that is below"),
            (any(is_everything), 25, "all that is there is meant"),
            (any(|word| word.is_pattern), 15, "a pattern says which"),
            (any(|word| word.is_made), 10, "which ones shows only when it runs"),
            (targets.len() > 4, 10, "many are named"),
        ];
        let aspect = aspects.into_iter().find(|(is_so, ..)| *is_so);
        aspect.map(|(_, points, why)| (points, why))
    }
}

/// The words that are no options, nor values of those.
fn operands(call: &Call) -> impl Iterator<Item = &Word> {
    let valued = VALUED.iter().find(|(program, _)| *program == call.program);
    let valued = valued.map_or(&[][..], |(_, options)| *options);
    let (mut is_value, mut are_all) = (false, false);
    call.arguments.iter().filter(move |word| {
        let text = word.text.as_str();
        if std::mem::take(&mut is_value) {
            return false;
        }
        if are_all || !text.starts_with(['-', '+']) {
            return true;
        }
        is_value = valued.contains(&text);
        are_all = text == "--";
        false
    })
}

/// Whether a call has an option or word: a letter in a cluster (`-r` in `-rf`), a long option with or
/// without a value, or a word as it is; one that ends with `=`, with anything behind it.
fn has(call: &Call, option: &str) -> bool {
    let letter = option.strip_prefix('-').filter(|rest| rest.len() == 1 && *rest != "-");
    let mut arguments = call.arguments.iter().map(|word| word.text.as_str());
    arguments.any(|text| match letter {
        Some(letter) => {
            let cluster = text.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
            cluster.is_some_and(|cluster| cluster.contains(letter))
        }
        None if option.ends_with('=') => text.starts_with(option),
        None => text == option || (option.starts_with("--") && value_of(text, option)),
    })
}

fn value_of(text: &str, option: &str) -> bool {
    option.len() > 2 && text.strip_prefix(option).is_some_and(|rest| rest.starts_with('='))
}

/// Whether a word names all of a tree that is kept, or what is around it.
fn is_everything(word: &Word) -> bool {
    let text = word.text.strip_suffix("/*").filter(|_| word.is_pattern).unwrap_or(&word.text);
    let text = text.trim_end_matches('/');
    let trees =
        [".", "..", "~", "$HOME", "$PWD", ":", "", paths::WORKSPACE, paths::MEMORY, "/home"];
    trees.contains(&text) && !word.text.is_empty() || (word.is_pattern && text == "*")
}

/// Whether a word names something that no checkpoint has: it is absolute, and in no tree that is kept.
fn is_elsewhere(word: &Word) -> bool {
    let text = word.text.as_str();
    let is_in = |tree: &str| {
        text.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    text.starts_with('/')
        && !is_everything(word)
        && !word.is_made
        && !text.contains("//")
        && text.split('/').all(|part| !part.starts_with('.') || part.len() > 2)
        && !is_in(paths::WORKSPACE)
        && !is_in(paths::MEMORY)
        // A pattern may lead into one.
        && !(word.is_pattern && text.find(['*', '?', '[']).is_some_and(|at| at < 5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_says_what_it_is_about() {
        for rule in RULES {
            assert!(!rule.programs.is_empty());
            assert_eq!(rule.points == 0, rule.does.is_empty(), "{:?}", rule.programs);
            assert!(rule.points <= 50, "{:?}", rule.programs);
            // A call has no version at the end of its name.
            for program in rule.programs {
                assert_eq!(super::super::call::name(program), *program);
            }
        }
    }

    #[test]
    fn what_is_in_no_tree_that_is_kept_is_elsewhere() {
        for (text, expected) in [
            ("/tmp/x", true),
            ("/dev/null", true),
            ("/workspaces", true),
            ("/workspace", false),
            ("/workspace/x", false),
            ("/home/agent/x", false),
            ("/tmp/../workspace", false),
            ("//workspace", false),
            ("/", false),
            ("/home", false),
            ("tmp/x", false),
            ("~/x", false),
        ] {
            assert_eq!(is_elsewhere(&Word::plain(text)), expected, "{text}");
        }
    }
}
