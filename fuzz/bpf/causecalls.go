package bpf

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// nameSize is TASK_COMM_LEN.
const nameSize = 16

// nameFields are the bytes of a thread's name, the last of which is always 0.
func nameFields() []corpus.Field {
	var name []corpus.Field
	for i := range nameSize - 1 {
		name = append(name, corpus.Field{Name: fmt.Sprintf("comm[%d]", i), Offset: i, Size: 1})
	}
	return name
}

// renaming gives the thread a name.
func renaming() cause { return cause{size: nameSize, fields: nameFields(), do: rename} }

func rename(ctx []byte) {
	_, _, _ = unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.SliceData(ctx))), 0)
}

// calling makes a harmless system call.
func calling() cause {
	call := cause{size: wordSize * 7, do: callHarmless, fields: []corpus.Field{
		{Name: "id", Offset: 0, Size: wordSize, Max: uint64(len(harmless()) - 1)},
	}}
	for i := range 6 {
		call.fields = append(call.fields, corpus.Field{Name: fmt.Sprintf("args[%d]", i), Offset: wordSize * (i + 1), Size: wordSize})
	}
	return call
}

// harmless lists system calls that ignore their arguments.
func harmless() []uintptr {
	return []uintptr{unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETTID}
}

// callHarmless makes a system call with arguments of the context.
func callHarmless(ctx []byte) {
	arg := func(i int) uintptr { return uintptr(binary.NativeEndian.Uint64(ctx[wordSize*i:])) }
	list := harmless()
	_, _, _ = unix.RawSyscall6(list[arg(0)%uintptr(len(list))], arg(1), arg(2), arg(3), arg(4), arg(5), arg(6))
}

// maxSleep bounds how long the thread sleeps, in nanoseconds.
const maxSleep = 1000

// sleeping puts the thread, which has the name that an input chose, to sleep.
func sleeping() cause {
	nap := corpus.Field{Name: "nanoseconds", Offset: nameSize, Size: wordSize, Max: maxSleep, Values: []uint64{0, 1, maxSleep}}
	return cause{size: nameSize + wordSize, fields: append(nameFields(), nap), do: func(ctx []byte) {
		rename(ctx)
		nap := &unix.Timespec{Nsec: int64(binary.NativeEndian.Uint64(ctx[nameSize:]))}
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(nap)), 0, 0)
	}}
}

// Offsets in the context of forking.
const (
	forkFlags  = nameSize
	forkSize   = forkFlags + wordSize
	shareFlags = unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SYSVSEM | unix.CLONE_IO
)

// forking makes a process that ends at once. What it shares with this one is for an
// input to choose, memory excepted, and so is its name.
func forking() cause {
	flags := corpus.Field{
		Name: "flags", Offset: forkFlags, Size: wordSize, Max: shareFlags,
		Values: []uint64{0, unix.CLONE_FS, unix.CLONE_FILES, unix.CLONE_SYSVSEM, unix.CLONE_IO, shareFlags},
	}
	return cause{size: forkSize, fields: append(nameFields(), flags), do: fork}
}

// fork asks for no signal when the child ends, so that nobody's handler notices.
func fork(ctx []byte) {
	rename(ctx)
	flags := uintptr(binary.NativeEndian.Uint64(ctx[forkFlags:]) & shareFlags)
	child, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags, 0, 0, 0, 0, 0)
	if errno == 0 && child == 0 {
		for { // the child, which must not touch anything of the runtime's
			_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	if errno == 0 {
		_, _, _ = unix.RawSyscall6(unix.SYS_WAIT4, child, 0, unix.WALL, 0, 0, 0)
	}
}

// Offsets in struct siginfo of what comes with a signal, and in the context of
// signalling, which has it from the number on.
const (
	infoSize   = 128
	infoSignal = 0
	infoErrno  = 4
	infoCode   = 8
	infoPID    = 16
	infoUID    = 20
	infoValue  = 24
	signalSize = 32
	firstReal  = 34 // of the signals that the C library leaves to programs
	lastReal   = 64
)

// signalling sends the thread a real-time signal, which it takes back before anybody
// is told of it.
func signalling() cause {
	return cause{size: signalSize, do: signal, fields: []corpus.Field{
		{Name: "sig", Offset: infoSignal, Size: 4, Min: firstReal, Max: lastReal, Values: []uint64{firstReal, lastReal}},
		{Name: "errno", Offset: infoErrno, Size: 4},
		{Name: "code", Offset: infoCode, Size: 4, Values: []uint64{0, 1, 0x80, 0xffffffff, 0xfffffffe, 0xfffffffa}},
		{Name: "pid", Offset: infoPID, Size: 4},
		{Name: "uid", Offset: infoUID, Size: 4},
		{Name: "value", Offset: infoValue, Size: wordSize},
	}}
}

// signal blocks the signal while it is pending: the runtime has handlers for all.
func signal(ctx []byte) {
	info := make([]byte, infoSize)
	copy(info, ctx)
	number := binary.NativeEndian.Uint32(info)
	if number < firstReal || number > lastReal {
		return
	}
	var set, old [1]uint64
	set[0] = 1 << (number - 1)
	mask := func(how uintptr, set, old *[1]uint64) {
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, how, uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), unsafe.Sizeof(*set), 0, 0)
	}
	mask(unix.SIG_BLOCK, &set, &old)
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_TGSIGQUEUEINFO, uintptr(unix.Getpid()), uintptr(unix.Gettid()), uintptr(number),
		uintptr(unsafe.Pointer(unsafe.SliceData(info))), 0, 0)
	now := &unix.Timespec{}
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&set)), 0, uintptr(unsafe.Pointer(now)), unsafe.Sizeof(set), 0, 0)
	mask(unix.SIG_SETMASK, &old, nil)
	runtime.KeepAlive(info)
}
