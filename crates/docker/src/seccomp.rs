//! The system calls that a sandbox may make: those that programs, compilers and debuggers need, and
//! no others. The list is the engine's default for a container without capabilities, minus what has
//! been a way out of containers or is of no use in one:
//!
//! - `io_uring`, which goes past filters like this one;
//! - the older queues for files (`io_setup`), of which the machine has a number that one sandbox could take
//!   all of. Few programs use them, databases mostly, which do without where there are none;
//! - sockets of other kinds than unix, internet and netlink (`AF_ALG`, `AF_VSOCK`, `AF_PACKET`, …);
//! - programs of another architecture (32 bit, x32), whose calls are a surface of their own;
//! - `adjtimex`, `clock_adjtime`, `fanotify_mark`, `modify_ldt`, `name_to_handle_at`,
//!   `remap_file_pages`, and personalities other than the usual one;
//! - changing limits, scheduling or priority of the first process, our runner, which the kernel would
//!   let every process of the same user do;
//! - signals for it but by `kill` and its like: where as many signals wait as may, the kernel forgets who
//!   sent any other, and what it then tells of the sender is what it tells of one outside the sandbox.
//!
//! What is refused fails with EPERM, `clone3` and `io_setup` with ENOSYS: then libraries use `clone`, whose
//! flags can be looked at, and programs other ways to read and write.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// The profile, as engines take it.
pub(crate) static PROFILE: LazyLock<String> = LazyLock::new(|| profile().to_string());

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
/// What `clone` would need capabilities for: the namespaces.
const CLONE_NEW: u64 = 0x7E02_0000;
/// That `pidfd_open` is to be of a thread, and that `pidfd_send_signal` is to signal one.
const PIDFD_THREAD: u64 = 0x80;
const PIDFD_SIGNAL_THREAD: u64 = 1;
/// The number of the first process, in its own namespace.
const FIRST: u64 = 1;

const FILES: &str = "
    access cachestat chdir chmod chown close close_range copy_file_range creat dup dup2 dup3
    faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat
    fcntl fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync
    ftruncate futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch
    inotify_init inotify_init1 inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr
    listxattrat llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat
    newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read
    readahead readlink readlinkat readv removexattr removexattrat rename renameat renameat2
    rmdir sendfile setxattr setxattrat splice stat statfs statx symlink symlinkat sync
    sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes vmsplice
    write writev";

const MEMORY: &str = "
    brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2
    mlockall mmap mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free
    pkey_mprotect shmat shmctl shmdt shmget";

const PROCESSES: &str = "
    arch_prctl capget capset execve execveat exit exit_group fork get_robust_list
    get_thread_area getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid
    getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get
    landlock_add_rule landlock_create_ruleset landlock_restrict_self prctl process_mrelease process_vm_readv process_vm_writev ptrace rseq
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
    sched_getparam sched_getscheduler sched_rr_get_interval sched_yield seccomp
    set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setpgid
    setregid setresgid setresuid setreuid setrlimit setsid setuid sysinfo times uname vfork
    wait4 waitid";

const SIGNALS_AND_TIME: &str = "
    alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday kill nanosleep
    pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn
    rt_sigsuspend rt_sigtimedwait setitimer sigaltstack signalfd signalfd4 time timer_create
    timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime
    timerfd_settime";

const BETWEEN_PROCESSES: &str = "
    accept accept4 bind connect epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
    epoll_wait eventfd eventfd2 futex futex_requeue futex_wait futex_waitv futex_wake
    getpeername getrandom getsockname getsockopt listen mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2 poll ppoll pselect6 recvfrom
    recvmmsg recvmsg select semctl semget semop semtimedop sendmmsg sendmsg sendto setsockopt
    shutdown";

/// Unix, internet, and the one by which programs ask for network interfaces.
const SOCKET_FAMILIES: [u64; 4] = [1, 2, 10, 16];
/// The usual one, and the question which it is.
const PERSONALITIES: [u64; 2] = [0, 0xFFFF_FFFF];

/// Calls whose first argument is the process that they change, or signal with what the kernel may
/// forget.
const CHANGE_A_PROCESS: &[&str] = &[
    "prlimit64",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "tgkill",
    "tkill",
];
/// Calls whose second argument is that, if the first has this value.
const CHANGE_A_KIND: [(&str, u64); 2] = [("setpriority", 0), ("ioprio_set", 1)];

/// The profile, as the engine's API takes it.
fn profile() -> Value {
    let lists = [FILES, MEMORY, PROCESSES, SIGNALS_AND_TIME, BETWEEN_PROCESSES];
    let names: Vec<&str> = lists.iter().flat_map(|list| list.split_whitespace()).collect();
    let mut rules = vec![
        json!({ "names": names, "action": "SCMP_ACT_ALLOW" }),
        json!({ "names": ["clone3", "io_setup"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS }),
        allow(&["clone"], &[masked(0, CLONE_NEW, 0)]),
        allow(&["socketpair"], &[equal(0, SOCKET_FAMILIES[0])]),
    ];
    rules.extend(SOCKET_FAMILIES.map(|family| allow(&["socket"], &[equal(0, family)])));
    rules.extend(PERSONALITIES.map(|one| allow(&["personality"], &[equal(0, one)])));
    // As `kill`: with nothing made up of the sender, and for a whole process.
    rules.push(allow(&["pidfd_open"], &[masked(1, PIDFD_THREAD, 0)]));
    let as_kill = [equal(2, 0), masked(3, PIDFD_SIGNAL_THREAD, 0)];
    rules.push(allow(&["pidfd_send_signal"], &as_kill));
    rules.extend(any_but_the_first(0).map(|other| allow(CHANGE_A_PROCESS, &[other])));
    for (call, kind) in CHANGE_A_KIND {
        let others = any_but_the_first(1);
        rules.extend(others.map(|other| allow(&[call], &[equal(0, kind), other])));
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "archMap": [
            { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": [] },
            { "architecture": "SCMP_ARCH_AARCH64", "subArchitectures": [] },
        ],
        "syscalls": rules,
    })
}

/// Conditions of which one holds for each number of a process but the first. The kernel looks at the
/// lower 32 bits alone, so comparing all of the argument would be no condition at all.
fn any_but_the_first(index: u32) -> impl Iterator<Item = Value> {
    let itself = masked(index, 0xFFFF_FFFF, 0);
    let bits = (0..32).map(|bit| 1 << bit).filter(|bit| *bit != FIRST);
    std::iter::once(itself).chain(bits.map(move |bit| masked(index, bit, bit)))
}

fn allow(names: &[&str], conditions: &[Value]) -> Value {
    json!({ "names": names, "action": "SCMP_ACT_ALLOW", "args": conditions })
}

fn equal(index: u32, value: u64) -> Value {
    json!({ "index": index, "value": value, "op": "SCMP_CMP_EQ" })
}

/// That the argument has this value in the bits of the mask.
fn masked(index: u32, mask: u64, value: u64) -> Value {
    json!({ "index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_condition_holds_for_each_process_but_the_first_whatever_stands_above_its_number() {
        let conditions: Vec<(u64, u64)> = any_but_the_first(0)
            .map(|one| (one["value"].as_u64().unwrap(), one["valueTwo"].as_u64().unwrap()))
            .collect();
        let allowed =
            |argument: u64| conditions.iter().any(|(mask, value)| argument & mask == *value);
        for other in [0, 2, 3, 4, 255, 256, 4_194_304, 0xFFFF_FFFF, 1 << 31] {
            assert!(allowed(other) && allowed(other | 1 << 32), "{other}");
        }
        for first in [1, 1 | 1 << 32, 1 | 0xFFFF_FFFF << 32] {
            assert!(!allowed(first), "{first}");
        }
    }

    #[test]
    fn what_may_be_done_to_some_processes_only_is_allowed_on_conditions_only() {
        let profile = profile();
        let rules = profile["syscalls"].as_array().unwrap();
        let others = CHANGE_A_KIND.iter().map(|(call, _)| call);
        let pidfds = ["pidfd_open", "pidfd_send_signal"];
        for call in CHANGE_A_PROCESS.iter().chain(others).chain(&pidfds) {
            let of = |rule: &&Value| rule["names"].as_array().unwrap().contains(&json!(call));
            let found: Vec<_> = rules.iter().filter(of).collect();
            assert!(!found.is_empty(), "{call}");
            assert!(found.iter().all(|rule| rule["args"].is_array()), "{call}");
        }
    }
}
