package kernel

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Isolate locks the calling goroutine to its thread and gives the thread a network
// namespace of its own, one processor, and no signals. It cannot be undone: the
// lock is never released, so the thread, and with it the namespace, ends with the
// goroutine. Call it on a goroutine that was started for the purpose, never on
// main's. Calling it again there gives one more namespace and is harmless. When it
// fails for lack of a capability, the goroutine is as it was.
//
// The namespace has nothing but a loopback interface, index 1, that is down.
// Signals are blocked because one interrupts BPF_PROG_RUN, and Go sends its threads
// many; Go then stops the goroutine at function calls instead.
func Isolate(worker int) error {
	lockThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("making a private network namespace: %w%s", err, missing(err, "CAP_SYS_ADMIN"))
	}
	if err := pin(worker); err != nil {
		return err
	}
	return blockSignals()
}

// moves is how often lockThread tries to get away from the process's first thread;
// once is enough unless others interfere.
const moves = 10

// lockThread locks the calling goroutine to a thread that ends with it. The first
// thread of a process never does: Go would keep it, and the namespace that it is in,
// for as long as the process lives. A goroutine that finds itself there has another
// one occupy the thread, so that it goes on elsewhere.
func lockThread() {
	leave := make(chan struct{})
	defer close(leave)
	for range moves {
		runtime.LockOSThread()
		if !onFirstThread() {
			return
		}
		runtime.UnlockOSThread()
		there := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			close(there)
			if onFirstThread() {
				<-leave
			}
		}()
		<-there
	}
	runtime.LockOSThread()
}

func onFirstThread() bool { return unix.Gettid() == unix.Getpid() }

// Isolated runs do on a goroutine of its own that is isolated as Isolate does, and
// returns when do has.
func Isolated(worker int, do func() error) error {
	done := make(chan error)
	go func() {
		err := Isolate(worker)
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// blockSignals blocks all signals but those that the thread's own faults raise: a
// blocked fault ends the process without a trace.
func blockSignals() error {
	var set unix.Sigset_t
	for i := range set.Val {
		set.Val[i] = ^set.Val[i]
	}
	word := 8 * int(unsafe.Sizeof(set.Val[0]))
	for _, s := range [...]unix.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGSYS} {
		bit := int(s) - 1
		set.Val[bit/word] &^= 1 << (bit % word)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil); err != nil {
		return fmt.Errorf("blocking signals: %w", err)
	}
	return nil
}

// pin binds the thread to the worker's share of the processors that it may use, so
// that per-CPU state stays where it is.
func pin(worker int) error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("reading the processors of a thread: %w", err)
	}
	nth := worker % allowed.Count()
	for cpu := 0; ; cpu++ {
		if !allowed.IsSet(cpu) {
			continue
		}
		if nth--; nth >= 0 {
			continue
		}
		var one unix.CPUSet
		one.Set(cpu)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return fmt.Errorf("binding a thread to processor %d: %w", cpu, err)
		}
		return nil
	}
}

// Pinned returns the only processor that the calling thread may use, or -1 when
// there are several.
func Pinned() int {
	var allowed unix.CPUSet
	if unix.SchedGetaffinity(0, &allowed) != nil || allowed.Count() != 1 {
		return -1
	}
	for cpu := 0; ; cpu++ {
		if allowed.IsSet(cpu) {
			return cpu
		}
	}
}
