package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// counting is an object whose XDP program adds the packet's byte 14 to value 1 of
// map "counters", of a given type, and returns XDP_PASS.
func counting(typ ebpf.MapType) *Object {
	code := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 15),
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JGT).SetSource(asm.RegSource), Dst: asm.R4, Src: asm.R3, Offset: 12}, // to the end
		asm.LoadMem(asm.R6, asm.R2, 14, asm.Byte),
		asm.Mov.Imm(asm.R4, 1),
		asm.StoreMem(asm.RFP, -4, asm.R4, asm.Word),
		asm.LoadMapPtr(asm.R1, 0).WithReference("counters"),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JEq), Dst: asm.R0, Offset: 3}, // to the end
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.Add.Reg(asm.R1, asm.R6),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 2),
		asm.Return(),
	}
	spec := &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{"counters": {Name: "counters", Type: typ, KeySize: 4, ValueSize: 8, MaxEntries: 4}},
		Programs: map[string]*ebpf.ProgramSpec{
			"count": {Name: "count", Type: ebpf.XDP, License: "GPL", Instructions: code},
		},
	}
	if typ == ebpf.Hash || typ == ebpf.PerCPUHash {
		value := any(make([]byte, 8))
		if typ == ebpf.PerCPUHash {
			cpus, _ := ebpf.PossibleCPU()
			value = slices.Repeat([][]byte{make([]byte, 8)}, cpus)
		}
		spec.Maps["counters"].Contents = []ebpf.MapKV{{Key: uint32(1), Value: value}}
	}
	return FromSpec("counting", spec)
}

func packetWith(b byte) []byte {
	p := make([]byte, 60)
	p[14] = b
	return p
}

// covers runs a packet alone and returns the counters that it hit and their buckets.
func covers(t *testing.T, e *executor, b byte) (hit []int, buckets []byte) {
	t.Helper()
	out, err := e.Alone(t.Context(), &corpus.Input{Steps: []corpus.Step{{Packet: packetWith(b)}}}, corpus.HaveCover)
	if err != nil {
		t.Fatal(err)
	}
	table := e.target.table
	for i := range table.Edges {
		if edge := &table.Edges[i]; strings.HasPrefix(edge.ToPos.File, "map ") && out.Cover[edge.Probe] != 0 {
			hit = append(hit, edge.To)
		}
	}
	for _, b := range out.Cover[table.Probes:] {
		if b != 0 {
			buckets = append(buckets, b)
		}
	}
	return hit, buckets
}

func TestFeedbackOfObjects(t *testing.T) {
	needKernel(t)
	for _, typ := range []ebpf.MapType{ebpf.Array, ebpf.PerCPUArray, ebpf.Hash, ebpf.PerCPUHash} {
		t.Run(typ.String(), func(t *testing.T) {
			target, err := NewTarget(counting(typ), Options{Feedback: []string{"counters"}})
			if err != nil {
				t.Fatal(err)
			}
			onExecutor(t, target, func(e *executor) {
				for _, test := range []struct{ add, bucket byte }{{0, 0}, {1, 1}, {3, 2}, {130, 128}, {1, 1}} {
					hit, buckets := covers(t, e, test.add)
					if test.add == 0 {
						if len(hit) != 0 || len(buckets) != 0 {
							t.Errorf("nothing is added, and counters %v change by %v", hit, buckets)
						}
						continue
					}
					if len(hit) != 1 || !bytes.Equal(buckets, []byte{test.bucket}) {
						t.Errorf("%d is added, counters %v change by %v", test.add, hit, buckets)
					}
					if (typ == ebpf.Array || typ == ebpf.PerCPUArray) && hit[0] != 1 {
						t.Errorf("counter %d changes, not 1", hit[0])
					}
				}
				if n := testing.AllocsPerRun(50, func() {
					if e.hot.feed.begin() != nil || e.hot.feed.end() != nil {
						t.Error("counters cannot be read")
					}
				}); n != 0 {
					t.Errorf("reading the counters allocates %v times", n)
				}
			})
		})
	}
}

// onExecutor calls do with the target's single executor.
func onExecutor(t *testing.T, target *Target, do func(*executor)) {
	t.Helper()
	done := make(chan error)
	go func() {
		e, err := newExecutor(target, 0)
		if err == nil {
			do(e)
			err = e.Close()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestFeedbackIsRefused(t *testing.T) {
	needKernel(t)
	for _, test := range []struct {
		name string
		opts Options
		want string
	}{
		{"no such map", Options{Feedback: []string{"counter"}}, `uses no map "counter"`},
		{"batches", Options{Feedback: []string{"counters"}, Executor: executorBatch}, "choose single"},
	} {
		_, err := NewTarget(counting(ebpf.Array), test.opts)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
	for _, m := range []struct {
		typ     ebpf.MapType
		entries uint32
		want    string
	}{{ebpf.Array, 1 << 20, "at most 65536"}, {ebpf.Queue, 8, "counters are read from arrays and hashes"}} {
		if _, err := newFeedbackMap("m", m.typ, 4, 8, m.entries, 1); err == nil || !strings.Contains(err.Error(), m.want) {
			t.Errorf("%s with %d entries: error %v, want %q", m.typ, m.entries, err, m.want)
		}
	}
}

// loadCounting loads the program that counts, as somebody else might.
func loadCounting(t *testing.T) (*Loaded, uint32) {
	t.Helper()
	owner, err := LoadPlain(counting(ebpf.Array), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Close() })
	info, err := owner.Describe()
	if err != nil {
		t.Fatal(err)
	}
	return owner, info.ID
}

func TestLoadedTarget(t *testing.T) {
	needKernel(t)
	owner, id := loadCounting(t)
	l, err := OpenLoaded(Selector{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if names, err := l.FeedbackMaps(); err != nil || !slices.Equal(names, []string{"counters"}) {
		t.Errorf("FeedbackMaps = %v, %v", names, err)
	}
	target, err := NewLoadedTarget(l, Options{Feedback: []string{"counters"}})
	if err != nil {
		t.Fatal(err)
	}
	if target.Table().Observable() != 4 {
		t.Errorf("%d edges, want one for each counter", target.Table().Observable())
	}
	onExecutor(t, target, func(e *executor) {
		for range 3 { // nothing is put back, and each time it is the change that counts
			if hit, buckets := covers(t, e, 5); !slices.Equal(hit, []int{1}) || !bytes.Equal(buckets, []byte{4}) {
				t.Errorf("counters %v change by %v", hit, buckets)
			}
		}
		if err := e.Recreate(t.Context()); err != nil {
			t.Error(err)
		}
	})
	var value uint64
	if err := owner.coll.Maps["counters"].Lookup(uint32(1), &value); err != nil || value != 15 {
		t.Errorf("the owner's map has %d, error %v; want 15", value, err)
	}
	if _, err := NewLoadedTarget(l, Options{Feedback: []string{"other"}}); err == nil || !strings.Contains(err.Error(), "it uses counters") {
		t.Errorf("a map that is not there: %v", err)
	}
}

func TestReusedMapIsShared(t *testing.T) {
	needKernel(t)
	owner, _ := loadCounting(t)
	info, err := owner.coll.Maps["counters"].Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	ref := MapRef(fmt.Sprintf("id:%d", id))
	target, err := NewTarget(counting(ebpf.Array), Options{Setup: Setup{Reuse: map[string]MapRef{"counters": ref}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(target.Shape().Maps) != 0 {
		t.Errorf("inputs may bring contents for %v", target.Shape().Maps)
	}
	onExecutor(t, target, func(e *executor) {
		for range 2 {
			covers(t, e, 7)
		}
	})
	var value uint64
	if err := owner.coll.Maps["counters"].Lookup(uint32(1), &value); err != nil || value != 14 {
		t.Errorf("the owner's map has %d, error %v; want 14", value, err)
	}
	for _, test := range []struct {
		object *Object
		name   string
		ref    MapRef
		want   string
	}{
		{counting(ebpf.Hash), "counters", ref, "is a array with keys of 4 and values of 8 bytes, the program has a hash"},
		{counting(ebpf.Array), "other", ref, `uses no map "other"`},
		{counting(ebpf.Array), "counters", "name:no-such-map", "no map with name no-such-map"},
		{counting(ebpf.Array), "counters", "counters", "write id:N, pinned:PATH or name:NAME"},
	} {
		_, err := NewTarget(test.object, Options{Setup: Setup{Reuse: map[string]MapRef{test.name: test.ref}}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.ref, err, test.want)
		}
	}
}

func TestRawRun(t *testing.T) {
	needKernel(t)
	l, _ := loadCounting(t)
	r, err := l.Run(RawRun{Data: packetWith(1), DataOut: 100, ContextOut: 100, Repeat: 3})
	if err != nil {
		t.Fatal(err)
	}
	if r.Ret != 2 || !bytes.Equal(r.Data, packetWith(1)) || len(r.Context) != xdpSize ||
		binary.NativeEndian.Uint32(r.Context[xdpOffDataEnd:]) != 60 {
		t.Errorf("ret %d, packet %x, context %x", r.Ret, r.Data, r.Context)
	}
	_, err = l.Run(RawRun{Data: packetWith(1), DataOut: 10})
	if short, ok := errors.AsType[*ShortBufferError](err); !ok || short.Need != 60 || short.Output != "data_out" {
		t.Errorf("a short buffer: %v", err)
	}
	for _, test := range []struct {
		name string
		run  RawRun
		want string
	}{
		{"short", RawRun{Data: make([]byte, 13)}, "a packet of 13 bytes, xdp takes 14"},
		{"no packet", RawRun{}, "the type needs a packet"},
		{"batch", RawRun{Data: packetWith(1), BatchSize: 1}, "with live frames only"},
		{"live output", RawRun{Data: packetWith(1), DataOut: 1, Flags: FlagLiveFrames}, "live frames give no output"},
		{"cpu", RawRun{Data: packetWith(1), CPU: 1}, "needs the flag on-cpu"},
		{"on cpu", RawRun{Data: packetWith(1), Flags: FlagOnCPU}, "only raw tracepoints"},
		{"checksum", RawRun{Data: packetWith(1), Flags: FlagChecksumComplete}, "take an skb"},
		{"context", RawRun{Data: packetWith(1), Context: []byte{0, 0, 0, 0, 60, 0, 0, 0, 1}}, "byte 8 of ctx_in is 0x1"},
		{"metadata", RawRun{Data: make([]byte, 600), Context: []byte{0, 2, 0, 0, 0x58, 2, 0, 0}}, "the length of the metadata, is 512, and this kernel takes at most "},
		{"long context", RawRun{Data: packetWith(1), Context: bytes.Repeat([]byte{1}, 32)}, "ctx_in has 32 bytes, the kernel's structure 24"},
	} {
		if _, err := l.Run(test.run); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
}

func TestOpenLoaded(t *testing.T) {
	needKernel(t)
	_, first := loadCounting(t)
	_, second := loadCounting(t)
	_, err := OpenLoaded(Selector{Name: "count"})
	if err == nil || !strings.Contains(err.Error(), "choose one by its id") ||
		!strings.Contains(err.Error(), fmt.Sprint(first)) || !strings.Contains(err.Error(), fmt.Sprint(second)) {
		t.Errorf("two programs of a name: %v", err)
	}
	if _, err := OpenLoaded(Selector{}); err == nil {
		t.Error("no selection is one")
	}
}

// The kernel still has what a loaded program compares with.
func TestDictionaryOfLoadedPrograms(t *testing.T) {
	needKernel(t)
	owner, err := LoadPlain(FromSpec("compares", &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {
		Name: "p", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, 16, asm.Word), // rx_queue_index
			asm.Mov.Imm(asm.R0, 1),
			asm.JNE.Imm(asm.R2, 0xbeef, "end"),
			asm.Mov.Imm(asm.R0, 2),
			asm.Return().WithSymbol("end"),
		},
	}}}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	info, err := owner.Describe()
	if err != nil {
		t.Fatal(err)
	}
	l, err := OpenLoaded(Selector{ID: info.ID})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	target, err := NewLoadedTarget(l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]byte{{0xbe, 0xef}, {0xef, 0xbe}} {
		if !slices.ContainsFunc(target.Shape().Dictionary, func(word []byte) bool { return bytes.Equal(word, want) }) {
			t.Errorf("the dictionary is %x, without %x", target.Shape().Dictionary, want)
		}
	}
}

func TestTypeOverride(t *testing.T) {
	untyped := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {
		Name: "p", SectionName: "odd", License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	}}}
	obj := FromSpec("odd", untyped)
	for name := range typeNames() {
		other, _, err := obj.chooseTyped("", name)
		if err != nil { // of types that are not run
			continue
		}
		if p := other.spec.Programs["p"]; p.Type == ebpf.UnspecifiedProgram {
			t.Errorf("%s gives no type", name)
		}
	}
	if other, name, err := obj.chooseTyped("", "cgroup/skb"); err != nil || name != "p" || other.spec.Programs["p"].Type != ebpf.CGroupSKB {
		t.Errorf("cgroup/skb: %v", err)
	}
	for shown, want := range map[string]ebpf.ProgramType{
		"socket_filter": ebpf.SocketFilter, "sched_cls": ebpf.SchedCLS, "sched_act": ebpf.SchedACT, "cgroup_skb": ebpf.CGroupSKB, "sock_ops": ebpf.SockOps,
	} {
		if other, _, err := obj.chooseTyped("", shown); err != nil || other.spec.Programs["p"].Type != want {
			t.Errorf("%s: %v", shown, err)
		}
	}
	for _, shown := range []string{"cgroup_device", "cgroup_sysctl"} { // which are refused by their names
		if _, ok := typeNames()[loadName(shown)]; !ok {
			t.Errorf("%s is no type", shown)
		}
	}
	if obj.spec.Programs["p"].Type != ebpf.UnspecifiedProgram {
		t.Error("the object itself has changed")
	}
	for _, test := range []struct{ program, typ, want string }{
		{"p", "nothing", "there is no such type"},
		{"q", "xdp", `has no program "q"`},
		{"p", "kprobe", "kprobe"},
	} {
		if _, _, err := obj.chooseTyped(test.program, test.typ); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s as %s: error %v, want %q", test.program, test.typ, err, test.want)
		}
	}
}

func TestPinWantsBPFFS(t *testing.T) {
	needKernel(t)
	l, _ := loadCounting(t)
	if _, err := l.Pin(t.TempDir() + "/a/b"); err == nil || !strings.Contains(err.Error(), "not on a BPF file system") {
		t.Errorf("an ordinary directory: %v", err)
	}
}
