//! Tricks against the host's own readers of a task's files: what `host.rs` runs on them. The workspace is
//! a working copy of a repository of the user's; `HOST_SECRET`, `HOST_FOLDER` with that in it,
//! `HOST_REPOSITORY` and `HOST_COMMIT` of that are the host's, and are not there in a sandbox.

use crate::case::Attempt::{Python, Shell};
use crate::{Area, Attempt, Case};

const fn host(name: &'static str, attempt: Attempt) -> Case {
    Case::ours(Area::Host, name, attempt)
}

pub(super) const CASES: &[Case] = &[
    host("links to a file of the host's", Python(LINKS)),
    host("folders and files that become links while the host reads them", Python(SWAPPED)),
    host("many names of one file", Python(HARD_LINKS)),
    host("pipes and sockets in the way of a reader", Python(PIPES)),
    host("names that no terminal should show", Python(NAMES)),
    host("a tree deeper than any path may be long", Python(DEEP)),
    host(
        "a file larger than what is in it",
        Shell("truncate -s 1G holes && test -s holes || exit"),
    ),
    host("folders that nobody may enter", Python(LOCKED)),
    host("a git configuration that names programs", Shell(CONFIGURATION)),
    host("git objects of another repository", Shell(ALTERNATES)),
    host("git's own files as links to the host's", Python(GIT_LINKS)),
    host("a repository that says it is another one", Python(GIT_FILE)),
];

/// Also in the place of what says to a checkpoint what to leave out, and in the memory.
const LINKS: &str = r"
secret, folder = os.environ['HOST_SECRET'], os.environ['HOST_FOLDER']
for where in ['/workspace', os.environ['HOME']]:
    os.makedirs(where + '/inner', exist_ok=True)
    for place in [where, where + '/inner']:
        for name, to in [('file', secret), ('above', '../' * 20 + secret), ('folder', folder), ('root', '/'),
                ('.gitignore', secret), ('.armorignore', secret), ('.armor.toml', secret), ('.gitattributes', secret),
                ('proc', '/proc/self/fd/0'), ('loop', 'loop')]:
            os.symlink(to, place + '/' + name)
import subprocess
subprocess.run(['git', 'add', '--all', '--force'], check=True)
subprocess.run(['git', 'commit', '--quiet', '--message', 'links'], check=True)
";

/// One of the names is a folder with a file in it, the other one is a link to the host's, of which a file
/// has the same name. The change of both is one call, so there always is something.
const SWAPPED: &str = r"
import time
folder = os.environ['HOST_FOLDER']
for number in range(8):
    os.mkdir(f'folder{number}')
    open(f'folder{number}/secret', 'w').write('mine')
    os.symlink(folder, f'link{number}')
    open(f'file{number}', 'w').write('mine')
    os.symlink(folder + '/secret', f'filelink{number}')
def swap(one, other):
    return call(316, -100, one.encode(), -100, other.encode(), 2)
result, error = swap('folder0', 'link0')
assert result == 0, errno.errorcode[error]
if os.fork() == 0:
    # It goes on behind the end of the command, which waits for who holds its output.
    os.setsid()
    for number in range(3):
        os.dup2(os.open('/dev/null', os.O_RDWR), number)
    until = time.time() + 600
    while time.time() < until:
        for number in range(8):
            swap(f'folder{number}', f'link{number}')
            swap(f'file{number}', f'filelink{number}')
    os._exit(0)
";

/// Written one by one, that is 1.6 GB.
const HARD_LINKS: &str = r"
open('one', 'wb').write(os.urandom(8 << 20))
os.mkdir('names')
for number in range(200):
    os.link('one', f'names/{number}')
kept = 0
for to in ['/run/armor/runner', '/etc/passwd', '/run/armor/host/runner.sock']:
    try:
        os.link(to, 'other')
        print('REACHED', to)
    except OSError:
        kept += 1
assert kept == 3
";

/// Git in the sandbox would wait for them, too, so it is kept from beginning.
const PIPES: &str = r"
open(os.environ['HOME'] + '/.gitconfig', 'w').write('[')
os.mkdir('in')
for place in ['pipe', '.armorignore', 'in/.gitignore', 'in/.armorignore', '.git/index.lock', '.git/packed-refs',
        '.git/MERGE_HEAD', '.git/objects/info/alternates', '.git/info/exclude', '.git/config.worktree']:
    os.makedirs(os.path.dirname(place) or '.', exist_ok=True)
    if os.path.lexists(place):
        os.unlink(place)
    os.mkfifo(place)
for place in ['socket', '.git/socket']:
    socket.socket(socket.AF_UNIX).bind(place)
for place in ['.git/index', '.git/HEAD', '.git/config']:
    os.unlink(place)
    os.mkfifo(place)
";

/// Sockets, too, since what a checkpoint leaves out is told.
const NAMES: &str = r"
names = [b'n' * 255, b'\n\n\nREADY\n', b'\x1b[2J\x1b]0;mine\x07', b'\xff\xfe\x80', b'\x7f\x08\x08', b'-rf', b' ',
    b'\xe2\x80\xaeexe.txt', b'$(touch mine)', b';touch mine;', b'\x1b[31m' + b'x' * 249, '\u009b31m'.encode()]
for name in names:
    os.makedirs(b'folders/' + name)
    open(b'folders/' + name + b'/' + name, 'w').write('mine')
    os.symlink(name, b'folders/' + name + b'/link')
    open(name, 'w').write('mine')
os.mkdir('s')
os.chdir('s')
for name in names:
    if len(name) < 100:
        socket.socket(socket.AF_UNIX).bind(name)
";

/// 33,000 bytes of path, where one may have 4,096.
const DEEP: &str = r"
top = os.open('.', os.O_RDONLY)
for _ in range(3000):
    os.mkdir('deep-deep-')
    os.chdir('deep-deep-')
open('end', 'w').write('mine')
os.symlink(os.environ['HOST_SECRET'], 'link')
os.fchdir(top)
for _ in range(300):
    os.mkdir('n' * 255)
    os.chdir('n' * 255)
";

const LOCKED: &str = r"
for number in range(20):
    os.makedirs(f'locked{number}/inner')
    open(f'locked{number}/inner/file', 'w').write('mine')
    os.chmod(f'locked{number}/inner/file', 0)
    os.chmod(f'locked{number}/inner', 0)
    os.chmod(f'locked{number}', 0)
";

/// Wherever git would look, and whatever it would run: a file of the host's that only the host can make.
const CONFIGURATION: &str = r#"
ran="touch $HOST_FOLDER/ran"
mkdir -p .git/hooks hooks
for hook in pre-commit post-commit post-checkout post-merge post-rewrite pre-push pre-receive update post-receive \
    post-update reference-transaction post-index-change fsmonitor-watchman pre-auto-gc push-to-checkout; do
    printf '#!/bin/sh\n%s\ncat\n' "$ran" > .git/hooks/$hook
    chmod +x .git/hooks/$hook
    cp .git/hooks/$hook hooks/
done
printf '* filter=x diff=x merge=x text\n' > .gitattributes
git add --all --force && git -c core.hooksPath=/dev/null commit --quiet --message evil || exit
printf '[submodule "x"]\n\tpath = x\n\turl = "ext::sh -c %s"\n\tupdate = "!%s"\n' "$ran" "$ran" > .gitmodules
for name in core.fsmonitor core.sshCommand core.askPass core.editor core.pager core.gitProxy core.alternateRefsCommand \
    uploadpack.packObjectsHook credential.helper gpg.program diff.external sequence.editor interactive.diffFilter \
    filter.x.process filter.x.clean filter.x.smudge diff.x.command diff.x.textconv merge.x.driver \
    remote.origin.uploadpack remote.origin.receivepack alias.status alias.log browser.x.cmd; do
    git config "$name" "$ran; cat"
done
git config core.hooksPath /workspace/hooks
git config protocol.ext.allow always
git config remote.origin.url "ext::sh -c $ran"
git config core.excludesFile "$HOST_SECRET"
git config include.path "$HOST_SECRET"
grep -q fsmonitor .git/config || exit
"#;

/// The branch says that it is at a commit of the other repository.
const ALTERNATES: &str = r#"
mkdir -p .git/objects/info
for to in "$HOST_REPOSITORY/.git/objects" "$HOST_FOLDER"; do
    echo "$to" >> .git/objects/info/alternates
done
branch=$(git symbolic-ref HEAD)
test -n "$branch" || exit
mkdir -p "$(dirname ".git/$branch")"
echo "$HOST_COMMIT" > ".git/$branch"
echo "$HOST_COMMIT" > .git/refs/heads/other
echo "$HOST_COMMIT" > .git/FETCH_HEAD
echo "$HOST_COMMIT" > .git/shallow
git config --file .git/config core.worktree "$HOST_FOLDER"
"#;

const GIT_LINKS: &str = r"
import shutil
secret, other = os.environ['HOST_SECRET'], os.environ['HOST_REPOSITORY'] + '/.git'
for name in ['HEAD', 'config', 'index', 'packed-refs', 'refs', 'objects', 'hooks', 'info', 'logs']:
    place = '.git/' + name
    if os.path.isdir(place):
        shutil.rmtree(place)
    elif os.path.lexists(place):
        os.unlink(place)
    os.symlink(secret if name == 'HEAD' else other + '/' + name, place)
";

const GIT_FILE: &str = r"
import shutil
shutil.rmtree('.git')
open('.git', 'w').write('gitdir: ' + os.environ['HOST_REPOSITORY'] + '/.git\n')
os.mkdir('sub')
os.symlink(os.environ['HOST_REPOSITORY'] + '/.git', 'sub/.git')
";
