package bpf

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// thrown returns the target of a program of testdata/throw.o.
func thrown(t *testing.T, name string) *Target {
	t.Helper()
	needBatches(t)
	obj, err := Open("testdata/throw.o")
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewTarget(obj, Options{Program: name, MaxSteps: 1})
	if err != nil && strings.Contains(err.Error(), "bpf_throw") {
		t.Skipf("a kernel without exceptions: %v", err)
	}
	if err != nil {
		t.Fatalf("%+v", err)
	}
	return target
}

// A callback that no program of the object contains is named.
func TestCallbackThatIsNotLinked(t *testing.T) {
	spec, err := ebpf.LoadCollectionSpec("testdata/throw.o")
	if err != nil {
		t.Fatal(err)
	}
	delete(spec.Programs, "lends")
	_, err = NewTarget(FromSpec("throw", spec), Options{Program: "catches"})
	if err == nil || !strings.Contains(err.Error(), `exception callback "handler"`) {
		t.Errorf("error %v does not name the callback", err)
	}
}

// A program that throws returns its argument, or what its callback returns.
func TestBatchOfExceptions(t *testing.T) {
	for name, want := range map[string]map[byte]uint32{
		"throws":    {0: 0, 7: 7, 8: 1004, 10: 105, 12: 1006},
		"catches":   {0: 2, 3: 1, 65: 2, 67: 1, 64: 1064},
		"tc_throws": {5: 105, 4: 1004},
	} {
		t.Run(name, func(t *testing.T) {
			target := thrown(t, name)
			isolated(t, func() {
				b := mustBatch(t, target)
				var first []byte
				for i := range want {
					first = append(first, i)
				}
				packets := make([][]byte, len(first))
				for i := range packets {
					packets[i] = udpPacket(1)
					packets[i][0] = first[i]
				}
				for i, out := range runPackets(t, b, packets...) {
					if out.Ret != want[first[i]] {
						t.Errorf("a packet that begins with %d gives %d, want %d", first[i], out.Ret, want[first[i]])
					}
				}
				if len(b.alone) > 0 {
					t.Errorf("inputs %d ran alone", b.alone)
				}
			})
			batchRunsAlike(t, target, 2)
		})
	}
}

// runPackets runs an input of one step for each packet, twice to fill a batch also
// when there are few, and returns the outcomes of the second half.
func runPackets(t *testing.T, b *batchExecutor, packets ...[]byte) []corpus.StepOutcome {
	t.Helper()
	b.batch.Reset()
	for range 2 {
		for _, p := range packets {
			b.batch.Next().CopyFrom(&corpus.Input{Steps: []corpus.Step{{Packet: p}}})
			b.batch.Commit()
		}
	}
	if err := b.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b.batch.Outcomes()[len(packets):]
}

// assembled returns the target of a hand-written program and others that it tail-calls
// by their index in the map "jump".
func assembled(t *testing.T, kind ebpf.ProgramType, flags uint32, programs ...asm.Instructions) *Target {
	t.Helper()
	needBatches(t)
	jump := &ebpf.MapSpec{Name: "jump", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: uint32(len(programs))}
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{}, Maps: map[string]*ebpf.MapSpec{"jump": jump}}
	for i, code := range programs {
		name := string(rune('a' + i))
		code[0] = code[0].WithSymbol(name)
		spec.Programs[name] = &ebpf.ProgramSpec{Name: name, Type: kind, License: "GPL", Instructions: code, Flags: flags}
		jump.Contents = append(jump.Contents, ebpf.MapKV{Key: uint32(i), Value: name})
	}
	target, err := NewTarget(FromSpec("assembled", spec), Options{Program: "a", MaxSteps: 1})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	return target
}

// tailCall calls the program at an index of "jump".
func tailCall(index int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R6), asm.LoadMapPtr(asm.R2, 0).WithReference("jump"), asm.Mov.Imm(asm.R3, index), asm.FnTailCall.Call(),
	}
}

// Instructions that read packets end a program, with 0, where there is nothing to
// read: also the one in a program that was tail-called.
func TestBatchOfPacketLoads(t *testing.T) {
	word := func(op asm.Instruction) asm.Instructions {
		return asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1), asm.Mov.Imm(asm.R0, 5), asm.Mov.Imm(asm.R7, 60), op, asm.Or.Imm(asm.R0, 1), asm.Return()}
	}
	indirect := asm.Instruction{OpCode: asm.OpCode(asm.LdClass).SetMode(asm.IndMode).SetSize(asm.Word), Src: asm.R7, Constant: 8}
	for name, programs := range map[string][]asm.Instructions{
		"absolute":  {word(asm.LoadAbs(70, asm.Word))},
		"indirect":  {word(indirect)},
		"in callee": {slices.Concat(asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}, tailCall(1), asm.Instructions{asm.Mov.Imm(asm.R0, 9), asm.Return()}), word(asm.LoadAbs(70, asm.Word))},
	} {
		t.Run(name, func(t *testing.T) {
			target := assembled(t, ebpf.SchedCLS, 0, programs...)
			isolated(t, func() {
				long := append(udpPacket(1), make([]byte, 20)...)
				for i, out := range runPackets(t, mustBatch(t, target), udpPacket(1), long, udpPacket(2)) {
					if want := uint32(i % 2); out.Ret != want {
						t.Errorf("packet %d gives %d, want %d", i, out.Ret, want)
					}
				}
			})
			batchRunsAlike(t, target, 2)
		})
	}
}

// countByte adds 1 to the first byte of an XDP packet and puts the new value into r0.
func countByte() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, xdpOffData, asm.Word), asm.LoadMem(asm.R3, asm.R6, xdpOffDataEnd, asm.Word),
		asm.Mov.Imm(asm.R0, 1), asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 1),
		jumpOver(asm.JGT, asm.R4, asm.R3, 3),
		asm.LoadMem(asm.R0, asm.R2, 0, asm.Byte), asm.Add.Imm(asm.R0, 1), asm.StoreMem(asm.R2, 0, asm.R0, asm.Byte),
		asm.Mov.Reg(asm.R7, asm.R0),
	}
}

// Chains end after 33 tail calls, of a program to itself or round about, and begin
// anew with each packet.
func TestBatchOfLongChains(t *testing.T) {
	end := asm.Instructions{asm.Mov.Reg(asm.R0, asm.R7), asm.Return()}
	step := func(next int32) asm.Instructions { return slices.Concat(countByte(), tailCall(next), end) }
	for name, programs := range map[string][]asm.Instructions{
		"itself": {step(0)},
		"others": {step(1), step(2), step(0)},
	} {
		t.Run(name, func(t *testing.T) {
			target := assembled(t, ebpf.XDP, 0, programs...)
			isolated(t, func() {
				b := mustBatch(t, target)
				for i, out := range runPackets(t, b, make([]byte, 60), make([]byte, 64), make([]byte, 60)) {
					if out.Ret != 34 || len(out.Packet) == 0 || out.Packet[0] != 34 {
						t.Errorf("packet %d gives %d and %.4x, want 34", i, out.Ret, out.Packet)
					}
				}
				if len(b.alone) > 0 {
					t.Errorf("inputs %d ran alone", b.alone)
				}
			})
			batchRunsAlike(t, target, 2)
		})
	}
}

// Programs for packets of many pages run in batches what fits into one page, and the
// rest alone.
func TestBatchOfFragments(t *testing.T) {
	code := slices.Concat(countByte(), asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R6), asm.FnXdpGetBuffLen.Call(), asm.Return(),
	})
	target := assembled(t, ebpf.XDP, unix.BPF_F_XDP_HAS_FRAGS, code)
	if target.shape.Packet.Max <= target.linear {
		t.Skip("a kernel without fragments")
	}
	isolated(t, func() {
		b := mustBatch(t, target)
		sizes := []int{60, target.linear, target.linear + 1, 20_000, target.shape.Packet.Max, 61}
		packets := make([][]byte, len(sizes))
		for i, n := range sizes {
			packets[i] = make([]byte, n)
			binary.NativeEndian.PutUint64(packets[i][n-8:], uint64(n))
		}
		for i, out := range runPackets(t, b, packets...) {
			want := slices.Clone(packets[i])
			want[0] = 1
			if out.Errno != 0 || int(out.Ret) != sizes[i] || !slices.Equal(out.Packet, want) {
				t.Errorf("packet of %d bytes: %.100s", sizes[i], outcomeText(&out))
			}
		}
		if want := []int{2, 3, 4, 8, 9, 10}; !slices.Equal(b.alone, want) {
			t.Errorf("inputs %d ran alone, want %d", b.alone, want)
		}
	})
	batchRunsAlike(t, target, 2)
}

// The kernel checks the checksum of a whole call's packet: such inputs run alone.
func TestBatchOfChecksums(t *testing.T) {
	// Byte 20 of the packet is overwritten without a word to skb->csum.
	code := asm.Instructions{
		asm.Mov.Imm(asm.R0, 0x55), asm.StoreMem(asm.R10, -8, asm.R0, asm.DWord),
		asm.Mov.Imm(asm.R2, 20), asm.Mov.Reg(asm.R3, asm.R10), asm.Add.Imm(asm.R3, -8), asm.Mov.Imm(asm.R4, 1), asm.Mov.Imm(asm.R5, 0),
		asm.FnSkbStoreBytes.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}
	target := assembled(t, ebpf.SchedCLS, 0, code)
	if target.shape.Flags&corpus.ChecksumComplete == 0 {
		t.Skip("a kernel without BPF_F_TEST_SKB_CHECKSUM_COMPLETE")
	}
	isolated(t, func() {
		b := mustBatch(t, target)
		b.batch.Reset()
		for i := range 4 {
			in := b.batch.Next()
			s := in.Grow()
			s.Packet = append(s.Packet, udpPacket(1)...)
			if i%2 == 1 {
				s.Flags = corpus.ChecksumComplete
			}
			b.batch.Commit()
		}
		if err := b.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(b.alone, []int{1, 3}) {
			t.Errorf("inputs %d ran alone, want 1 and 3", b.alone)
		}
		for i, out := range b.batch.Outcomes() {
			if want := [2]unix.Errno{0, unix.EBADMSG}[i%2]; out.Errno != want {
				t.Errorf("input %d: errno %v, want %v", i, out.Errno, want)
			}
		}
	})
}

// An output that is longer than its room is had with a call of its own, whole.
func TestBatchOfLongOutputs(t *testing.T) {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1), asm.LoadMem(asm.R2, asm.R6, 0, asm.Word), asm.Add.Imm(asm.R2, 600), asm.Mov.Imm(asm.R3, 0),
		asm.FnSkbChangeTail.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}
	target := assembled(t, ebpf.SchedCLS, 0, code)
	isolated(t, func() {
		b := mustBatch(t, target)
		for i, out := range runPackets(t, b, udpPacket(1), udpPacket(2)) {
			if want := append(udpPacket(uint16(1+i)), make([]byte, 600)...); !slices.Equal(out.Packet, want) {
				t.Errorf("packet %d: %.200s", i, outcomeText(&out))
			}
		}
		if len(b.alone) != 4 {
			t.Errorf("inputs %d ran alone, want all 4", b.alone)
		}
	})
}
