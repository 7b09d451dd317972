# Kills every process whose group is $1. Only builtins are used, because a full limit on processes
# leaves no room for another one. All are stopped first: a stopped process keeps its place in that
# limit, so whatever forks cannot run ahead of the killing. A process whose first thread has ended shows
# Z while its others run, as one does that is dead: it gets the signals, too, and nobody counts on them.
g=$1
each() { # $1 signal, $2 states that need none, $3 states that make the round unclean
  n=0 v=0
  for p in /proc/[0-9]*; do
    s= t=
    while read -r key a b; do
      case $key in State:) s=$a ;; Gid:) t=$a; break ;; esac
    done <"$p/status"
    [ -n "$t" ] || { v=$((v+1)); continue; } # gone between listing and reading
    [ "$t" = "$g" ] || continue
    case $3 in *"$s"*) v=$((v+1)) ;; esac
    case $2 in *"$s"*) continue ;; esac
    kill "-$1" "${p#/proc/}" && [ "$s" != Z ] && n=$((n+1))
  done 2>/dev/null
}
r=0
while [ $r -lt 50 ]; do r=$((r+1)); each STOP TtX -; [ $n = 0 ] && [ $v = 0 ] && break; done
k=0
while [ $k -lt 200 ]; do k=$((k+1)); each KILL X ZX; [ $n = 0 ] && [ $v = 0 ] && break; done
[ $n = 0 ] && [ $v = 0 ]
