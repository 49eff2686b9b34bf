package bpf

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// holdings are what the process holds of the system.
type holdings struct {
	files      []string // what open descriptors are of
	mappings   int      // of BPF maps into memory
	namespaces []string // of threads
}

func holding(t *testing.T) holdings {
	t.Helper()
	var h holdings
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if of, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
			h.files = append(h.files, of)
		}
	}
	slices.Sort(h.files)
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	h.mappings = strings.Count(string(maps), "bpf-map")
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if ns, err := os.Readlink("/proc/self/task/" + task.Name() + "/ns/net"); err == nil && !slices.Contains(h.namespaces, ns) {
			h.namespaces = append(h.namespaces, ns)
		}
	}
	return h
}

// Descriptors keep programs, maps, links and namespaces alive, mappings maps, and
// threads namespaces: nothing else does, so when these are as before, all is.
func checkHoldings(t *testing.T, what string, before holdings) {
	t.Helper()
	after := holding(t)
	// A thread that ends takes a moment to leave the list of threads.
	for tries := 0; len(after.namespaces) > len(before.namespaces) && tries < 1000; tries++ {
		runtime.Gosched()
		after = holding(t)
	}
	if !slices.Equal(before.files, after.files) {
		t.Errorf("%s: open files were\n%q\nand are\n%q", what, before.files, after.files)
	}
	if before.mappings != after.mappings {
		t.Errorf("%s: %d mappings of maps, before %d", what, after.mappings, before.mappings)
	}
	if len(after.namespaces) > len(before.namespaces) {
		t.Errorf("%s: threads in namespaces %q, before %q", what, after.namespaces, before.namespaces)
	}
}

// objectsIn counts what the kernel has of programs and maps with a name.
func objectsIn(t *testing.T, name string) (n int) {
	t.Helper()
	id, err := ebpf.ProgramGetNextID(0)
	for ; err == nil; id, err = ebpf.ProgramGetNextID(id) {
		if prog, err := ebpf.NewProgramFromID(id); err == nil {
			if info, err := prog.Info(); err == nil && info.Name == name {
				n++
			}
			prog.Close()
		}
	}
	mapID, err := ebpf.MapGetNextID(0)
	for ; err == nil; mapID, err = ebpf.MapGetNextID(mapID) {
		if m, err := ebpf.NewMapFromID(mapID); err == nil {
			if info, err := m.Info(); err == nil && info.Name == name {
				n++
			}
			m.Close()
		}
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return n
}

func TestNothingIsLeft(t *testing.T) {
	needKernel(t)
	newState(t, "plain", Setup{}) // what the library opens once and keeps
	obj, err := Open("testdata/state.o")
	if err != nil {
		t.Fatal(err)
	}
	const unique = "leak_unique"
	prog := obj.spec.Programs["state"].Copy()
	prog.Name = unique
	obj.spec.Programs[unique] = prog
	before := holding(t)

	target, err := NewTarget(obj, Options{Program: unique, Setup: stateSetup()})
	if err != nil {
		t.Fatal(err)
	}
	checkHoldings(t, "a target", before)

	isolated(t, func() {
		e, err := newExecutor(target, 0)
		if err != nil {
			t.Error(err)
			return
		}
		for range 3 {
			if err := e.Recreate(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := e.Alone(t.Context(), requests(request{Map: 2, Count: 3}), corpus.HaveTrace|corpus.HaveMaps); err != nil {
				t.Error(err)
			}
		}
		if objectsIn(t, unique) == 0 {
			t.Error("an executor has no program: this test looks for the wrong name")
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	checkHoldings(t, "an executor", before)
	for tries := 0; objectsIn(t, unique) > 0; tries++ { // the kernel frees them after a grace period
		if tries == 10_000 {
			t.Fatalf("%d programs are left", objectsIn(t, unique))
		}
		runtime.Gosched()
	}
}

// A load that fails halfway gives back what it had.
func TestNothingIsLeftOfFailures(t *testing.T) {
	needKernel(t)
	newState(t, "plain", Setup{})
	before := holding(t)

	obj, err := Open("testdata/state.o")
	if err != nil {
		t.Fatal(err)
	}
	prog := obj.spec.Programs["state"]
	prog.Instructions = append(slices.Clone(prog.Instructions), asm.LoadMem(asm.R0, asm.R9, 0, asm.Word).WithSymbol("bad"), asm.Return())
	prog.Instructions[0] = asm.LoadMem(asm.R0, asm.R9, 0, asm.Word).WithMetadata(prog.Instructions[0].Metadata)
	if _, err := NewTarget(obj, Options{Program: "state"}); err == nil {
		t.Fatal("a program that reads an uninitialized register loads")
	}
	checkHoldings(t, "a rejected program", before)

	target := newState(t, "state", stateSetup())
	target.spec.Maps["array"].Flags |= 1 << 20 // no kernel knows this flag
	isolated(t, func() {
		if _, err := newExecutor(target, 0); err == nil {
			t.Error("a map with a flag of the future is made")
		}
	})
	checkHoldings(t, "a map that cannot be made", before)

	// The coverage map of the plan is smaller than what the layout wants mapped.
	target = newState(t, "state", stateSetup())
	isolated(t, func() {
		inst, err := target.load(0)
		if err != nil {
			t.Error(err)
			return
		}
		spec := target.spec.Copy()
		spec.Maps["ringbuf"].Type = ebpf.Hash
		spec.Maps["hash"].Type = ebpf.RingBuf // its memory is no ring
		if _, err := newMapState(target, spec, inst); err == nil {
			t.Error("a hash is mapped as a ring buffer")
		}
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	})
	checkHoldings(t, "state that cannot be mapped", before)
	if err := kernel.Unmap(nil); err != nil {
		t.Error(err)
	}
}
