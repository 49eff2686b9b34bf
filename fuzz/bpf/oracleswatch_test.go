package bpf

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// watched lists what is planted for oracles that watch a run.
func watched() []planted {
	const object = "testdata/oracles_watch.o"
	real := Options{Setup: Setup{RealHelpers: true}}
	return []planted{
		{oracle: "errno", program: "complete", object: object, flags: corpus.ChecksumComplete},
		{oracle: "verdict", program: "verdict", object: object},
		{oracle: "aborted", program: "aborted", object: object},
		{oracle: "checksum-broken", program: "checksum", object: object},
		{oracle: "checksum-complete", program: "complete", object: object},
		{oracle: "nondeterministic", program: "chance", object: object, options: real},
		{oracle: "stderr", program: "complains", object: object, needs: needsStreams},
	}
}

// needsStreams tries the kernel function with which the program writes.
func needsStreams() string {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return err.Error()
	}
	var fn *btf.Func
	if err := spec.TypeByName("bpf_stream_vprintk_impl", &fn); err != nil {
		return "the kernel has no function bpf_stream_vprintk_impl"
	}
	obj, err := ebpf.LoadCollectionSpec("testdata/oracles_watch.o")
	if err != nil {
		return err.Error()
	}
	for name := range obj.Programs {
		if name != "answer" {
			delete(obj.Programs, name)
		}
	}
	coll, err := ebpf.NewCollection(obj)
	if err != nil {
		return err.Error()
	}
	defer coll.Close()
	ret, err := coll.Programs["answer"].Run(&ebpf.RunOptions{Data: make([]byte, 60)})
	if err != nil {
		return err.Error()
	}
	if int32(ret) < 0 {
		errno := syscall.Errno(-int32(ret))
		return fmt.Sprintf("the kernel refuses to write to a program's stream: %v%s", errno, withoutPages(errno))
	}
	return ""
}

// withoutPages says why there may be no memory for a stream where there is plenty for all
// else. Streams take their pages in a way that waits for no lock (alloc_pages_nolock), which
// gives none for as long as the kernel has not initialised all of its memory. That is over
// before the first process runs, unless a kernel is told to do it when memory gets short.
func withoutPages(errno syscall.Errno) string {
	line, err := os.ReadFile("/proc/cmdline")
	if errno != syscall.ENOMEM || err != nil {
		return ""
	}
	for _, option := range strings.Fields(string(line)) {
		if strings.HasPrefix(option, "deferred_init=") {
			return fmt.Sprintf(": it was booted with %s, and gives streams no pages before all memory is initialised", option)
		}
	}
	return ""
}
