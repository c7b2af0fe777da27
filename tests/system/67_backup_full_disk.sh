#!/usr/bin/env bash
# A backup onto a disk that is too small, by little or by much, says so, and nothing that is left passes for one. Each size
# lets it come further, up to the one that has room for all.
#
# The disk is a small one in memory, mounted where only this test sees it, so that it goes away with it.
if [ -z "${GAIT_OWN_MOUNTS:-}" ]; then
    for own in -m -rm; do
        if unshare "$own" mount --make-rprivate / 2>/dev/null; then
            GAIT_OWN_MOUNTS=yes exec unshare "$own" bash "$0" "$@"
        fi
    done
    echo "skip   no file system may be mounted here"
    exit 0
fi
. "$(dirname "$0")/lib.sh"

disk=$work/disk
mkdir "$disk"
trap clean_up_and_unmount EXIT

clean_up_and_unmount() {
    local status=$?
    umount -l "$disk" 2>/dev/null
    (exit "$status")
    clean_up
}

# backup OPTIONS: onto a disk that is mounted with these.
backup() {
    mount -t tmpfs -o "$1" none "$disk" || give_up "mount"
    "$GAIT_BIN/gait" backup --dir "$run_dir" "$disk/backup" 2>"$work/said"
}

# backup_files_up_to KIB: where no file may be larger, so that a write fails within it.
backup_files_up_to() (
    trap '' XFSZ
    ulimit -f "$1"
    "$GAIT_BIN/gait" backup --dir "$run_dir" "$disk/backup" 2>"$work/said"
)

# says PATTERN: in a line that names the place, and no other.
says() {
    grep -qE "gait backup: .*$disk/backup.*$1" "$work/said" && [ "$(wc -l <"$work/said")" -eq 1 ] || ! cat "$work/said"
}

# try WHAT WHY COMMAND…: a backup. False where it has gone well; else it must have failed as it should.
try() {
    local what=$1 why=$2 status=0
    shift 2
    "$@" || status=$?
    [ "$status" -ne 0 ] || return
    check "$what: it fails" equal 1 "$status"
    check "$what: it says why" says "$why"
    check "$what: nothing is left" equal "" "$(ls -A "$disk")"
    failed=$((failed + 1))
}

# passes WHAT: the backup that has gone well is a whole one.
passes() {
    check "some were too little" [ "$failed" -gt 3 ]
    check "$1: it is whole" "$GAIT_BIN/gait" restore --dir "$work/new" "$disk/backup" 2>>"$work/restore.log"
    rm -r "$work/new" "$disk/backup"
    failed=0
}

sums() {
    find "$run_dir/state" "$run_dir/lake" -type f ! -name lock.mdb -print0 | sort -z | xargs -0 cksum
}

simulate 100
rules any time 0
start
load_tables customer accelerometer step_trainer
check "the pipeline comes to rest" wait_idle
check_stop
sums >"$work/before"
failed=0
for ((kib = 64; kib <= 65536; kib *= 2)); do # it knows before it begins
    try "$kib KiB" " MiB are needed, and [0-9]+ MiB are free" backup "size=${kib}k" || break
    umount "$disk"
done
passes "$kib KiB"
umount "$disk"
for ((files = 3; files <= 200; files++)); do # these it can't
    try "$files files" ": (No space left on device|the disk is full)" backup "size=1g,nr_inodes=$files" || break
    umount "$disk"
done
passes "$files files"
umount "$disk"
for ((kib = 1; kib <= 65536; kib *= 2)); do
    # LMDB's word for a write that was cut short is the second.
    try "files of $kib KiB" ": (No space left on device|File too large|Input/output error)" \
        backup_files_up_to "$kib" || break
done
passes "files of $kib KiB"
check "what was copied is as it was" equal "$(cat "$work/before")" "$(sums)"
finish
