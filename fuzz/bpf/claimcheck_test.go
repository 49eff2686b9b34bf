package bpf

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/verifier"
)

// resolved returns instructions with labels as they are after an ELF was read: jumps
// have offsets, calls keep the names of functions.
func resolved(t *testing.T, name string, insns asm.Instructions, functions ...string) asm.Instructions {
	t.Helper()
	var code bytes.Buffer
	if err := insns.Marshal(&code, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	out, err := asm.AppendInstructions(nil, &code, binary.LittleEndian, "linux")
	if err != nil {
		t.Fatal(err)
	}
	for i := range out {
		if symbol := insns[i].Symbol(); symbol == name || contains(functions, symbol) {
			out[i] = out[i].WithSymbol(symbol)
		}
		if insns[i].IsFunctionCall() {
			out[i] = insns[i]
		}
	}
	return out
}

func contains(list []string, s string) bool {
	return s != "" && strings.Contains(" "+strings.Join(list, " ")+" ", " "+s+" ")
}

// checkedObject is an object with one XDP program.
func checkedObject(t *testing.T, name string, insns asm.Instructions) *Object {
	t.Helper()
	insns[0] = insns[0].WithSymbol(name)
	return &Object{Name: name, spec: &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{}, ByteOrder: binary.LittleEndian,
		Programs: map[string]*ebpf.ProgramSpec{name: {
			Name: name, Type: ebpf.XDP, License: "MIT", SectionName: "xdp", Instructions: resolved(t, name, insns),
			// Without it the verifier remembers few states of so short a program.
			Flags: instrument.StateFreq,
		}},
	}}
}

// withPacket begins a program that reads 16 bytes of its packet, at r6.
func withPacket(code ...asm.Instruction) asm.Instructions {
	begin := asm.Instructions{
		asm.LoadMem(asm.R6, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R7, asm.R1, 4, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Add.Imm(asm.R1, 16),
		asm.JGT.Reg(asm.R1, asm.R7, "out"),
	}
	return append(append(begin, code...), asm.Mov.Imm(asm.R0, 2).WithSymbol("out"), asm.Return())
}

// evenNumber has a claim about r3: that it is even.
func evenNumber() asm.Instructions {
	return withPacket(
		asm.LoadMem(asm.R3, asm.R6, 0, asm.DWord),
		asm.And.Imm(asm.R3, -2),
		asm.StoreMem(asm.R6, 8, asm.R3, asm.DWord))
}

// runWith returns what running a packet that begins with a number gave.
func runWith(t *testing.T, exec fuzz.Executor, number uint64) corpus.StepOutcome {
	t.Helper()
	packet := make([]byte, 64)
	binary.NativeEndian.PutUint64(packet, number)
	out, err := exec.Alone(t.Context(), &corpus.Input{Steps: []corpus.Step{{Packet: packet}}}, corpus.HaveRet)
	if err != nil {
		t.Fatal(err)
	}
	return out.Steps[0]
}

// withExecutor calls do with an executor of the target, on its thread.
func withExecutor(t *testing.T, target *Target, do func(exec fuzz.Executor)) {
	t.Helper()
	done := make(chan struct{})
	go func() { // whose thread stays in another namespace
		defer close(done)
		exec, err := target.NewExecutor(0)
		if err != nil {
			t.Error(err)
			return
		}
		do(exec)
		if err := exec.Close(); err != nil {
			t.Error(err)
		}
	}()
	<-done
}

// Each part of a claim is checked, for exactly the values that it excludes.
func TestChecksAreExact(t *testing.T) {
	needKernel(t)
	with := func(change func(*verifier.Bounds)) verifier.Bounds { b := verifier.Anything(); change(&b); return b }
	values := []uint64{
		0, 2, 4, 6, 8, 0x7e, 0x80, 0xfe, 0x100, 0x7ffffffe, 0x80000000, 0xfffffffe, 0x1_0000_0000, 0x1_0000_0004,
		math.MaxInt64 - 1, 1 << 63, math.MaxUint64 - 1, math.MaxUint64 - 7, 0xffffffff_00000004, 0xffffffff_80000000,
	}
	for _, tt := range []struct {
		name string
		b    verifier.Bounds
	}{
		{"constant", verifier.Exactly(4)},
		{"large constant", verifier.Exactly(0x1_0000_0004)},
		{"byte", verifier.Sized(1)},
		{"word", verifier.Sized(4)},
		{"umin", with(func(b *verifier.Bounds) { b.Umin = 0x80 })},
		{"umax", with(func(b *verifier.Bounds) { b.Umax = 0x7ffffffe })},
		{"large umax", with(func(b *verifier.Bounds) { b.Umax = 1 << 63 })},
		{"signed", with(func(b *verifier.Bounds) { b.Smin, b.Smax = -2, 4 })},
		{"smin", with(func(b *verifier.Bounds) { b.Smin = 0 })},
		{"umin32", with(func(b *verifier.Bounds) { b.Umin32 = 4 })},
		{"umax32", with(func(b *verifier.Bounds) { b.Umax32 = 0x80000000 })},
		{"signed halves", with(func(b *verifier.Bounds) { b.Smin32, b.Smax32 = -8, 6 })},
		{"bits", with(func(b *verifier.Bounds) { b.Value, b.Mask = 4, ^uint64(6) })},
		{"high bits", with(func(b *verifier.Bounds) { b.Value, b.Mask = 1<<63, math.MaxUint64>>1 })},
		{"range and bits", with(func(b *verifier.Bounds) { b.Umax, b.Value, b.Mask = 0x100, 0, 0x1fa })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			number := uint32(0)
			target, err := NewTarget(checkedObject(t, "even", evenNumber()), Options{CheckVerifier: true, falsify: func(claims []instrument.Claim) {
				for i := range claims {
					if claims[i].Register == 3 {
						claims[i].Bounds, number = tt.b, uint32(i)+1
					}
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			if number == 0 || target.Claims().Checked != target.Claims().Claims {
				t.Fatalf("the claim is not checked: %+v", target.Claims())
			}
			withExecutor(t, target, func(exec fuzz.Executor) {
				for _, v := range values {
					o := runWith(t, exec, v)
					switch {
					case tt.b.Holds(v) && o.Claim != 0:
						t.Errorf("%v is said not to hold for %#x", tt.b, v)
					case !tt.b.Holds(v) && (o.Claim != number || o.ClaimValue != v):
						t.Errorf("%v does not hold for %#x, and the outcome has claim %d, value %#x", tt.b, v, o.Claim, o.ClaimValue)
					}
				}
			})
		})
	}
}

// joinedPaths is a program of which the verifier follows one of two paths to the end: with 7
// in r3. It gives up the other, with 5, since nothing depends on the number.
func joinedPaths() asm.Instructions {
	return withPacket(
		asm.LoadMem(asm.R2, asm.R6, 0, asm.Byte),
		asm.Mov.Imm(asm.R3, 5),
		asm.JEq.Imm(asm.R2, 0, "join"),
		asm.Mov.Imm(asm.R3, 7),
		asm.Mov.Reg(asm.R4, asm.R3).WithSymbol("join"),
		asm.Add.Imm(asm.R4, 1),
		asm.StoreMem(asm.R6, 8, asm.R4, asm.DWord))
}

// Claims that are not about paths which the verifier gave up are not checked; if they
// were, runs on such a path would be false alarms.
func TestClaimsOfOtherPathsAreNotChecked(t *testing.T) {
	needKernel(t)
	target, err := NewTarget(checkedObject(t, "joined", joinedPaths()), Options{CheckVerifier: true})
	if err != nil {
		t.Fatal(err)
	}
	if c := target.Claims(); c.Doubtful == 0 || c.Checked == 0 {
		t.Fatalf("no path was given up, or nothing is checked: %+v", c)
	}
	withExecutor(t, target, func(exec fuzz.Executor) {
		for _, v := range []uint64{0, 1} {
			if o := runWith(t, exec, v); o.Claim != 0 {
				t.Errorf("with %d claim %q does not hold", v, target.Shape().Claims[o.Claim-1].String())
			}
		}
	})

	naive, err := NewTarget(checkedObject(t, "joined", joinedPaths()), Options{Executor: executorSingle})
	if err != nil {
		t.Fatal(err)
	}
	logs, err := naive.explainedPrograms()
	if err != nil {
		t.Fatal(err)
	}
	clear(logs[0].Pruned)
	claims, doubtful := naive.plan.Claims(logs)
	if doubtful != 0 {
		t.Errorf("%d claims are in doubt though no path was given up", doubtful)
	}
	if err := naive.climbClaims(claims); err != nil {
		t.Fatal(err)
	}
	withExecutor(t, naive, func(exec fuzz.Executor) {
		if o := runWith(t, exec, 1); o.Claim != 0 {
			t.Errorf("on the path that was followed claim %d does not hold", o.Claim)
		}
		if o := runWith(t, exec, 0); o.Claim == 0 {
			t.Error("what the log says of the other path holds: this test shows nothing")
		}
	})
}

// What is checked of one program under three kernels: all that is said of numbers but
// behind the places where paths were given up.
func TestClaimsOfGoldenLogs(t *testing.T) {
	insns := resolved(t, "explained", explained(), "larger")
	plan, err := instrument.Analyze([]instrument.Program{{Name: "explained", Instructions: insns}}, instrument.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kernel           string
		claims, doubtful int
	}{
		{"6.1", 12, 13},
		{"6.12", 12, 13},
		{"6.18", 15, 9},
	} {
		t.Run(tt.kernel, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("internal/verifier/testdata", tt.kernel+".log"))
			if err != nil {
				t.Fatal(err)
			}
			log, err := verifier.Read(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := matches(log, insns); err != nil {
				t.Fatal(err)
			}
			claims, doubtful := plan.Claims([]*verifier.Log{log})
			if len(claims) != tt.claims || doubtful != tt.doubtful {
				t.Errorf("%d claims and %d in doubt, want %d and %d", len(claims), doubtful, tt.claims, tt.doubtful)
			}
		})
	}
}
