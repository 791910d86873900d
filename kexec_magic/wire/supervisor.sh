# The supervisor: runs in the pod, as what `sh` is there (busybox ash, dash, bash), around every cell.
#
# Each line ends as a command does, so that the client can send all of it as one. Nothing here writes a file, and
# nothing but `sh` is needed: without setsid, dd, grep or sleep it does what it can, which the README lists.
#
# Descriptors: 3 lines from the client, 4 and 5 the exec's stdout and stderr, 6 its stdin, 8 the script's text.
# A shell that waits for a killed child says so on its own stderr, which therefore leads nowhere.
exec 4>&1 5>&2 6<&0 2>/dev/null </dev/null;
# On a terminal ^C goes to all of its foreground group, and so to us.
_terminal=$1;
_brace() { if [ "$_terminal" ]; then trap : INT QUIT TSTP; fi; };
_brace;
# Bytes are bytes: in other locales bash's read takes a newline for the second half of a cut character.
_locale=${LC_ALL+x}${LC_ALL-} LC_ALL=C;
unset IFS;

_tell() { printf '\036%s %s\036' "$_nonce" "$*"; };

# Take BYTES, which are LINES, from the client into _text. dd forks, so that short texts are read by the shell.
_take() {
  _text=;
  { [ "$1" -gt 2048 ] && _text=$(dd bs="$1" count=1 iflag=fullblock <&3 && echo x) && _text=${_text%x}; } || {
    _count=0 _piece=;
    while [ "$_count" -lt "$2" ] && IFS= read -r _line; do
      _piece=$_piece$_line$_newline _count=$((_count + 1));
      case $_count in *00) _text=$_text$_piece _piece=;; esac;
    done <&3;
    _text=$_text$_piece;
  };
  _text=${_text%"$_newline"};
};

# Read how often the kernel has killed in this container for want of memory into _kills: the cgroup's own count, of v2
# or v1; '' where it is not told.
_count_kills() {
  _kills=;
  for _file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    [ -r "$_file" ] || continue;
    while read -r _word _count; do
      [ "$_word" != oom_kill ] || _kills=$_count;
    done <"$_file";
  done;
};

# Find the run's live processes: _found all of them, _strays those outside the leader's group.
_look() {
  _found=' ' _strays= _before=;
  while [ "$_before" != "$_found" ]; do
    _before=$_found;
    for _folder in /proc/[0-9]*; do
      read -r _line <"$_folder/stat" || continue;
      _pid=${_folder#/proc/};
      case $_found in *" $_pid "*) continue;; esac;
      # state, parent, group, session
      set -- ${_line##*) };
      case $1 in [ZX]) continue;; esac;
      # The runner has two children, the watcher and the leader.
      if [ "$_leader" = - ] && [ "$2" = "$_runner" ] && [ "$_pid" != "$_watcher" ]; then _leader=$_pid; fi;
      if [ "$_pid" = "$_leader" ] || [ "$4" = "$_leader" ]; then :;
      # Without a session of its own: what lost its parent is the script's, since ours never do.
      elif [ "$2" = 1 ] && [ "$4" = "$_main" ]; then :;
      else case $_found in *" $2 "*) ;; *) continue;; esac; fi;
      _found="$_found$_pid ";
      [ "$3" = "$_leader" ] || _strays="$_strays $_pid";
    done;
  done;
  # Not -F: with it busybox reads a file up to its first NUL.
  for _folder in $(grep -ls "KEXEC_RUN=$_mark" /proc/[0-9]*/environ); do
    _pid=${_folder#/proc/} _pid=${_pid%/environ};
    case $_found in *" $_pid "*) ;; *) _found="$_found$_pid " _strays="$_strays $_pid";; esac;
  done;
};

# A stopped process takes a signal only when it is continued.
_signal() {
  _look;
  for _name in "$1" CONT; do
    kill -s "$_name" -- "-$_leader";
    for _pid in $_strays; do kill -s "$_name" "$_pid"; done;
  done;
};

# End the run when nobody is there any more to say how: TERM, a second, KILL, and then ourselves. What tells of it has
# that second, since nobody may be reading either.
_expire() {
  trap '' TERM;
  _signal TERM; sleep 1;
  _count=0;
  while _signal KILL; [ "$_found" != ' ' ] && [ "$_count" -lt 20 ]; do _count=$((_count + 1)); done;
  if [ "$_teller" ]; then kill -s KILL "$_teller"; wait "$_teller"; fi;
  kill -s KILL $_main $_runner $_watcher;
  exit 137;
};

# A shell that has just been forked can lose a signal, to a handler of its parent's that it is about to drop: only one
# that is seen to be dead has got it.
_disarm() {
  while [ "$_timer" ]; do
    kill "$_timer";
    read -r _line <"/proc/$_timer/stat" || _line=') Z';
    case ${_line##*) } in Z*) wait "$_timer"; _timer=;; esac;
  done;
};

# Expire unless the client is heard of within _orphan seconds.
_arm() {
  _disarm;
  if [ "$_orphan" -gt 0 ] && command -v sleep >/dev/null; then
    _timer=-;
    (
      trap 'kill -s KILL $!; wait $!; exit' TERM;
      exec 7>&- 8<&-;
      sleep "$_orphan" 3<&- 5>&- & wait $!;
      _tell orphaned >&5 & _teller=$!;
      _expire;
    ) & _timer=$!;
  fi;
};

# Do what the client's lines say, until it has gone. A line is a word, and what the run told of itself.
_serve() {
  _arm;
  while read -r _word _given <&3; do
    if [ "$_given" ]; then set -- $_given; _main=$1 _runner=$2 _leader=$3; fi;
    case $_word in
      beat) _arm;;
      go) echo go >&7;;
      look)
        _look; _tell left $_found >&5;
        if [ "$_over" ] && [ "$_found" = ' ' ]; then _disarm; return; fi;;
      bye) _disarm; exit "$_code";;
      *)
        _stopping=9;
        _signal "$_word";
        while [ "$_leader" = - ] && [ "$_runner" != - ]; do _signal "$_word"; done;;
    esac;
  done;
  _disarm;
  if [ "$_orphan" != -1 ]; then _expire; fi;
};

_watch() {
  read -r _watcher _line </proc/self/stat;
  exec 4>&- 6<&- 8<&-;
  # The signal can come between the start of the timer and the note of it.
  trap '_timer=${_timer:+$!}; _disarm; exit $_stopping' TERM;
  _serve;
};

_lead() {
  read -r _leader _line </proc/self/stat;
  _tell at "$_main" "$_runner" "$_leader" >&5;
  case $_mode in
    fed|tty) read -r _word <&3; [ "$_word" = go ] || exit;;
    counted) read -r _word; [ "$_word" = go ] || exit;;
  esac;
  case $_mode in
    fed|tty) exec <&6;;
    run) exec </dev/null;;
  esac;
  if [ "$_locale" ]; then LC_ALL=${_locale#x}; else unset LC_ALL; fi;
  exec 1>&4 2>&5 3<&- 4>&- 5>&- 6<&-;
  eval "$_prologue";
};

# Pass the word to go on, then input in pieces of a stated size, since the subprotocol v4 has no end of input.
_pump() {
  read -r _word <&6; echo "$_word";
  while read -r _count <&6 && [ "$_count" -gt 0 ]; do
    dd bs=65536 count="$_count" iflag=fullblock,count_bytes <&6 || break;
  done;
};

# Have the leader run, and tell of its end on both channels: on some servers one overtakes the other. With the exit
# code goes how often memory ran out meanwhile, where that is known.
_follow() {
  _count_kills; _earlier=$_kills;
  ( _lead ); _code=$?;
  exec 8<&-;
  _count_kills; if [ "$_kills" ] && [ "$_earlier" ]; then _kills=$((_kills - _earlier)); else _kills=; fi;
  if [ "$_watcher" ]; then kill "$_watcher"; wait "$_watcher"; _stopping=$?; fi;
  _tell end "$_code" $_kills >&4; if [ ! "$_terminal" ]; then _tell end "$_code" $_kills >&5; fi;
  if [ "$_stopping" = 9 ]; then _over=1 _watcher=; _serve; fi;
  exit "$_code";
};

_run() {
  _brace;
  read -r _runner _line </proc/self/stat;
  exec 8<&0 </dev/null;
  case $_mode in
    run) _watch & _watcher=$!; _follow;;
    counted)
      dd count=0 iflag=fullblock,count_bytes || { _tell lacks dd >&5; exit 127; };
      _pump 4>&- 5>&- 8<&- | _follow;;
    *) _follow;;
  esac;
};

# Be beside another exec: keep what it is to read in descriptor 8, and watch over what it runs.
_hold() {
  read -r _watcher _line </proc/self/stat;
  exec 8<&0 7>/proc/self/fd/0 </dev/null;
  _tell hold "$_watcher" >&5;
  _serve;
};

_main=$$ _runner=- _leader=- _watcher= _timer= _teller= _stopping=0 _over= _code=0;
read -r _mode _nonce _mark _orphan _bytes _lines _more _more_lines <&3 || exit;
_take "$_bytes" "$_lines"; _prologue=$_text;
if [ "$_mode" = hold ]; then _main=-; printf '%s' "$_text" 3<&- 4>&- 5>&- | _hold; exit; fi;
_take "$_more" "$_more_lines";
if [ "$_mode" = run ]; then read -r _word <&3; [ "$_word" = go ] || exit; fi;
{ if [ "$_terminal" ]; then trap '' INT QUIT TSTP; fi; printf '%s' "$_text"; } 3<&- 4>&- 5>&- 6<&- | _run;
exit $?;
