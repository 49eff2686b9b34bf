package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/disasm"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/verifier"
)

const (
	// maxExplained bounds the instructions that the verifier looks at where its whole log
	// is read: each takes some hundred bytes of it.
	maxExplained = 250_000
	// explainedSize is how many bytes of the log an instruction takes in most programs, and
	// minLog what the rest takes at least: a log that does not fit is asked for again.
	explainedSize = 600
	minLog        = 1 << 16
	// maxClaimSample is where the ladder of checks ends: one claim in so many.
	maxClaimSample = 64
	// fullLog is the log level at which each instruction is shown with what is known behind
	// it, and what verification cost.
	fullLog = ebpf.LogLevelBranch | ebpf.LogLevelInstruction | ebpf.LogLevelStats
)

// ClaimCheck is what a check of the verifier's claims comes to.
type ClaimCheck struct {
	// Claims is how many there are about numbers in registers that every run has to
	// satisfy, Checked how many of them are checked in each run.
	Claims, Checked int
	// Doubtful is how many others the log has, which paths that the verifier gave up
	// need not satisfy.
	Doubtful int
	// Off says why nothing is checked, "" where something is.
	Off string
}

// checkClaims makes the target one whose runs check what the verifier claims. Where that
// cannot be done, a note says why.
func (t *Target) checkClaims(falsify func([]instrument.Claim)) error {
	logs, err := t.explainedPrograms()
	if errors.Is(err, verifier.ErrFormat) {
		t.noClaims(err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	claims, doubtful := t.plan.Claims(logs)
	t.claims.Claims, t.claims.Doubtful = len(claims), doubtful
	if falsify != nil {
		falsify(claims)
	}
	if len(claims) == 0 {
		t.noClaims("the verifier's log has no claim that every run has to satisfy")
		return nil
	}
	return t.climbClaims(claims)
}

// checkable refuses options with which claims cannot be checked.
func (t *Target) checkable(opts *Options) error {
	if opts.Faults {
		return errors.New("claims of the verifier are not true of helpers that are made to fail: check claims, or make calls fail")
	}
	return nil
}

func (t *Target) noClaims(why string) {
	t.claims.Off = why
	t.notes = append(t.notes, "the verifier's claims are not checked: "+why)
}

// climbClaims finds out how many claims can be checked besides the edges.
func (t *Target) climbClaims(claims []instrument.Claim) error {
	plain := t.plan
	for sample := 1; sample <= maxClaimSample; sample *= 2 {
		t.plan = plain.WithChecks(claims, sample)
		inst, err := t.loadOnly(instrument.Cover)
		if err == nil {
			t.describeClaims(claims, sample, len(inst.layout.Checks))
			return inst.Close()
		}
		if _, rejected := errors.AsType[*RejectedError](err); !rejected {
			return err
		}
	}
	t.plan = plain
	t.noClaims("the kernel accepts no code of this program that checks them")
	return nil
}

func (t *Target) describeClaims(claims []instrument.Claim, sample, checked int) {
	t.claims.Checked = checked
	for i := range claims {
		c := &claims[i]
		t.shape.Claims = append(t.shape.Claims, corpus.Claim{
			Func: c.Func, Insn: c.Insn, Pos: c.Pos, Text: disasm.Text(c.Instruction()), Taken: c.Taken,
			Register: fmt.Sprintf("r%d", c.Register), Value: c.Bounds.String(),
		})
	}
	note := fmt.Sprintf("of the verifier's %d claims about numbers that every run has to satisfy, %d are checked in each run", len(claims), checked)
	if sample > 1 {
		note += fmt.Sprintf(" (one in %d: the verifier's limits are near)", sample)
	}
	t.notes = append(t.notes, note)
}

// explainedPrograms returns the verifier's whole logs of the programs as they are, in
// the plan's order. The error wraps verifier.ErrFormat where they cannot be used.
func (t *Target) explainedPrograms() ([]*verifier.Log, error) {
	plain := t.spec.Copy()
	dropSockets(plain)
	cost, err := t.verifications("plain", plain)
	if err != nil {
		return nil, err
	}
	most := 0
	for i := range cost {
		if most = max(most, cost[i].Processed); most > maxExplained {
			return nil, fmt.Errorf("%w: of program %q it would show %d instructions, more than %d",
				verifier.ErrFormat, t.names[i], most, maxExplained)
		}
	}
	texts, err := t.logsOf(plain.Copy(), fullLog, uint32(minLog+explainedSize*most))
	if err != nil {
		return nil, err
	}
	logs := make([]*verifier.Log, len(t.names))
	for i, name := range t.names {
		if logs[i], err = verifier.Read(texts[name]); err == nil {
			err = matches(logs[i], t.spec.Programs[name].Instructions)
		}
		if err != nil {
			return nil, fmt.Errorf("program %q: %w", name, err)
		}
	}
	return logs, nil
}

// matches reports whether a log is about these instructions.
func matches(log *verifier.Log, insns asm.Instructions) error {
	at := map[int]byte{}
	slot := 0
	for i := range insns {
		at[slot] = byte(insns[i].OpCode)
		slot += int(insns[i].Width())
	}
	for slot, op := range log.Opcodes {
		if have, ok := at[slot]; !ok || have != op {
			return fmt.Errorf("%w: it shows opcode %#02x at instruction %d, where the program has %#02x", verifier.ErrFormat, op, slot, have)
		}
	}
	return nil
}

// Claims says what came of Options.CheckVerifier; the zero value where it was not set.
func (t *Target) Claims() ClaimCheck { return t.claims }

// violated notes in an outcome which claim did not hold in the run that ended, and
// makes the instance ready for the next.
func (i *instance) violated(o *corpus.StepOutcome) {
	if !i.violatedAny() {
		return
	}
	native := binary.NativeEndian
	for n := range i.layout.Checks {
		c := &i.layout.Checks[n]
		if native.Uint32(i.mem[c.Off:]) == 0 {
			continue
		}
		native.PutUint32(i.mem[c.Off:], 0)
		if o.Claim == 0 { // the first in the order of the code is the reason for others
			o.Claim, o.ClaimValue = uint32(c.Claim)+1, native.Uint64(i.mem[c.ValueAt():])
		}
	}
}

// violatedAny reports whether a claim did not hold since it was called last.
func (i *instance) violatedAny() bool {
	if len(i.layout.Checks) == 0 {
		return false
	}
	flag := i.mem[i.layout.Violated:]
	if binary.NativeEndian.Uint32(flag) == 0 {
		return false
	}
	binary.NativeEndian.PutUint32(flag, 0)
	return true
}
