package triage

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// OracleOptions choose among the built-in oracles and add to them. The zero value
// gives the defaults.
type OracleOptions struct {
	// Enable switches built-in oracles and relations on or off by name; those that
	// are not in it have their default.
	Enable map[string]bool
	// MaxInsns is how many instructions of the program a step may execute before the
	// oracle "slow" objects; 0 leaves it off. Shape.Counted has to be set.
	MaxInsns uint64
	// Invariants and Relations are the caller's own, asked after the built-in ones.
	Invariants []Oracle
	Relations  []Relation
}

// builtin is a row of the list of oracles and relations.
type builtin struct {
	name string
	// on reports whether the oracle is on by default for the shape; nil means never.
	on func(*corpus.Shape) bool
	// fits reports whether the oracle can object to anything of this shape.
	fits func(*corpus.Shape) bool
	// lacks is what is missing where it does not fit; "" where the program's type has no
	// such thing.
	lacks    string
	oracle   func(*corpus.Shape) Oracle
	relation func(*corpus.Shape) Relation
}

// builtins lists what needs no specification, in the order in which it is asked:
// cheap and certain ones first.
func builtins() []builtin {
	always := func(*corpus.Shape) bool { return true }
	return []builtin{
		{name: "errno", on: always, fits: always, oracle: newErrno},
		{name: "verdict", on: always, fits: func(s *corpus.Shape) bool { return s.Closed }, oracle: newVerdict},
		{
			name: KernelSplat, on: always, fits: func(s *corpus.Shape) bool { return s.Log }, oracle: newKernelSplat,
			lacks: "the kernel's log cannot be read",
		},
		{
			name: Stderr, on: always, fits: func(s *corpus.Shape) bool { return s.Stderr }, oracle: newStderr,
			lacks: "the program has no code that leaves text there, or the kernel has no such streams",
		},
		{name: "verifier-claim", on: always, fits: func(s *corpus.Shape) bool { return len(s.Claims) > 0 }, oracle: newClaim},
		{name: "assert", on: always, fits: asserts, oracle: newAssert},
		{
			name: "aborted",
			fits: func(s *corpus.Shape) bool { return slices.ContainsFunc(s.Verdicts, isAborted) }, oracle: newAborted,
		},
		{
			name: "checksum-broken", on: always, fits: givesFrames, oracle: newChecksum,
		},
		{name: "lengths-broken", on: always, fits: givesFrames, oracle: newLengths},
		{
			name: "checksum-complete",
			fits: func(s *corpus.Shape) bool { return s.Flags&corpus.ChecksumComplete != 0 }, relation: newChecksumComplete,
		},
		{name: "ttl-kept", fits: sendsPackets, oracle: newTTLKept},
		{name: "ttl", on: always, fits: givesFrames, relation: newTTL},
		{name: "nondeterministic", on: isDetermined, fits: always, relation: newNondeterministic},
		{
			name: "uninitialised", on: isDetermined,
			fits: func(s *corpus.Shape) bool { return s.Poison&corpus.OtherStack != 0 }, relation: newUninitialised,
		},
		{
			name: "headroom", on: isDetermined,
			fits: func(s *corpus.Shape) bool { return s.Poison&corpus.OtherHeadroom != 0 && givesFrames(s) }, relation: newHeadroom,
		},
		{name: MapFull, fits: fills, oracle: newMapFull},
		{name: MapLeak, fits: fills, relation: newMapLeak},
		{name: "past-total-length", fits: givesFrames, relation: newPadding},
		{name: "linear-frags", fits: func(s *corpus.Shape) bool { return s.Pieces }, relation: newPieces},
	}
}

// isDetermined reports whether the outcome follows from the input: time and chance
// in a program are there on purpose.
func isDetermined(s *corpus.Shape) bool { return len(s.Chance) == 0 }

// givesFrames reports whether programs take frames and give them back.
func givesFrames(s *corpus.Shape) bool { return s.Packet.Max > 0 && !s.Payload && !s.NoResult }

// OracleNames lists the built-in oracles and relations.
func OracleNames() []string {
	var names []string
	for _, b := range builtins() {
		names = append(names, b.name)
	}
	return names
}

// Oracles returns what judges targets of the given shape, for NewJudge: the
// built-in oracles and relations that opts leave on, then the caller's. The error
// names what opts has wrong: an unknown name, one that is switched on and has no
// meaning for the shape, or an invariant whose name is taken.
func Oracles(shape *corpus.Shape, opts OracleOptions) (oracles []Oracle, relations []Relation, err error) {
	if err := checkNames(opts); err != nil {
		return nil, nil, err
	}
	for _, b := range builtins() {
		on, chosen := opts.Enable[b.name]
		if !chosen {
			on = b.on != nil && b.on(shape)
		}
		switch {
		case !on:
		case chosen && !b.fits(shape) && b.lacks != "":
			return nil, nil, fmt.Errorf("oracle %q cannot judge: %s: switch it off", b.name, b.lacks)
		case chosen && !b.fits(shape):
			return nil, nil, fmt.Errorf("oracle %q has no meaning for programs of type %s: switch it off", b.name, shape.Type)
		case !b.fits(shape):
		case b.oracle != nil:
			oracles = append(oracles, b.oracle(shape))
		default:
			relations = append(relations, b.relation(shape))
		}
	}
	if opts.MaxInsns > 0 {
		if !shape.Counted {
			return nil, nil, fmt.Errorf("a limit of %d instructions cannot be watched: programs of type %s, as this one is loaded and run, are not counted", opts.MaxInsns, shape.Type)
		}
		oracles = append(oracles, newSlow(opts.MaxInsns))
	}
	return append(oracles, opts.Invariants...), append(relations, opts.Relations...), nil
}

// checkNames refuses names that are no oracle's, and a second oracle of one name:
// triage tells them apart by it.
func checkNames(opts OracleOptions) error {
	names := OracleNames()
	for _, name := range slices.Sorted(maps.Keys(opts.Enable)) {
		if !slices.Contains(names, name) {
			return fmt.Errorf("unknown oracle %q, choose among %s", name, strings.Join(names, ", "))
		}
	}
	var added []string
	for _, o := range opts.Invariants {
		added = append(added, o.Name)
	}
	for _, r := range opts.Relations {
		added = append(added, r.Name)
	}
	for i, name := range added {
		if name == "" {
			return errors.New("an invariant has no name: give it one")
		}
		if name == Slow || slices.Contains(names, name) || slices.Contains(added[:i], name) {
			return fmt.Errorf("invariant %q has the name of another oracle: rename it", name)
		}
	}
	return nil
}
