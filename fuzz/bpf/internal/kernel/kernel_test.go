package kernel

import (
	"errors"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// privileged skips a test without the capabilities that it needs.
func privileged(t testing.TB) {
	t.Helper()
	if missing := Missing(); len(missing) > 0 {
		t.Skipf("needs %s", missing[0].Name)
	}
}

func TestLimits(t *testing.T) {
	privileged(t)
	for _, typ := range []ebpf.ProgramType{ebpf.XDP, ebpf.SchedCLS, ebpf.SchedACT} {
		l, err := MeasureLimits(typ)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %+v", typ, l)
		if l.Min != 14 || l.Max < 1500 || l.Max > 1<<16 {
			t.Errorf("%s: %+v is not what any kernel accepts", typ, l)
		}
		if typ == ebpf.XDP && (l.Meta < 32 || l.Meta%4 != 0) {
			t.Errorf("metadata of at most %d bytes, every kernel takes 32", l.Meta)
		}
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	privileged(t)
	trial, err := newTrial(ebpf.XDP, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer trial.close()
	in, out := make([]byte, 64), make([]byte, 4096)
	in[3] = 7
	n := testing.AllocsPerRun(100, func() {
		trial.run.SetData(in, out)
		if errno := trial.run.Do(); errno != 0 {
			t.Fatal(errno)
		}
	})
	if n != 0 {
		t.Errorf("a run allocates %v times", n)
	}
	if trial.run.DataSize() != 64 || out[3] != 7 {
		t.Errorf("data_out has %d bytes, byte 3 is %d", trial.run.DataSize(), out[3])
	}
}

func TestIsolate(t *testing.T) {
	privileged(t)
	errs := make(chan error)
	go func() { errs <- Isolate(1) }()
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
}

func TestMap(t *testing.T) {
	privileged(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	fast := NewMap(m.FD())
	key, value, got := []byte{1, 2, 3, 4}, []byte("01234567"), make([]byte, 8)
	if errno := fast.Update(key, value); errno != 0 {
		t.Fatal(errno)
	}
	if errno := fast.Lookup(key, got); errno != 0 || string(got) != string(value) {
		t.Errorf("Lookup = %q, %v", got, errno)
	}
	next := make([]byte, 4)
	if errno := fast.Next(nil, next); errno != 0 || string(next) != string(key) {
		t.Errorf("Next = %v, %v", next, errno)
	}
	if errno := fast.Delete(key); errno != 0 {
		t.Error(errno)
	}
	if errno := fast.Lookup(key, got); errno == 0 {
		t.Error("found after Delete")
	}
	for i := range byte(3) {
		if errno := fast.Update([]byte{i, 0, 0, 0}, value); errno != 0 {
			t.Fatal(errno)
		}
	}
	if done, errno := fast.UpdateBatch([]byte{0, 0, 0, 0, 1, 0, 0, 0}, []byte("abcdefghABCDEFGH"), 2); done != 2 || errno != 0 {
		t.Errorf("UpdateBatch = %d, %v", done, errno)
	}
	if errno := fast.Lookup([]byte{1, 0, 0, 0}, got); errno != 0 || string(got) != "ABCDEFGH" {
		t.Errorf("after UpdateBatch: Lookup = %q, %v", got, errno)
	}
	many := make([]byte, 8*8)
	if done, errno := fast.UpdateBatch([]byte{0, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0}, many, 3); done != 2 || errno != unix.E2BIG {
		t.Errorf("UpdateBatch of more than fit = %d, %v", done, errno)
	}
	if errno := fast.Delete([]byte{7, 0, 0, 0}); errno != 0 {
		t.Error(errno)
	}
	keys := []byte{0, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0}
	if done, errno := fast.DeleteBatch(keys, 4); done != 2 || errno != unix.ENOENT {
		t.Errorf("DeleteBatch = %d, %v", done, errno)
	}
	if errno := fast.Next(nil, next); errno != 0 || string(next) != "\x01\x00\x00\x00" {
		t.Errorf("after DeleteBatch: Next = %v, %v", next, errno)
	}
	if done, errno := fast.DeleteBatch(next, 1); done != 1 || errno != 0 {
		t.Errorf("DeleteBatch of one = %d, %v", done, errno)
	}
}

func TestRingDrains(t *testing.T) {
	privileged(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	prog, err := load(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Reg(asm.R2, asm.R10),
		asm.Add.Imm(asm.R2, -8),
		asm.Mov.Imm(asm.R3, 1),
		asm.StoreMem(asm.R10, -8, asm.R3, asm.DWord),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Imm(asm.R3, 8),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),
		asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.close()
	ring, err := NewRing(m.FD())
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	full := false
	for range 1000 {
		if errno := prog.data(make([]byte, 64)); errno != 0 {
			t.Fatal(errno)
		}
		if int32(prog.run.Ret()) < 0 {
			full = true
			break
		}
	}
	if !full {
		t.Fatal("the ring buffer never fills")
	}
	ring.Drain()
	if prog.data(make([]byte, 64)); prog.run.Ret() != 0 {
		t.Errorf("after Drain the program still fails with %d", int32(prog.run.Ret()))
	}
}

// The process's first thread stays where it is: it would not leave its namespace
// when the goroutine ends.
func TestFirstThreadStays(t *testing.T) {
	before, err := os.Readlink("/proc/self/task/" + strconv.Itoa(os.Getpid()) + "/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	privileged(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			err := Isolated(0, func() error {
				if onFirstThread() {
					return errors.New("isolated on the first thread")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if after, err := os.Readlink("/proc/self/task/" + strconv.Itoa(os.Getpid()) + "/ns/net"); err != nil || after != before {
		t.Errorf("the first thread was in %s and is in %s, %v", before, after, err)
	}
}
