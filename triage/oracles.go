package triage

import (
	"fmt"
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
	// Invariants and Relations are the caller's own, asked after the built-in ones.
	Invariants []Oracle
	Relations  []Relation
}

// builtin is a row of the list of oracles and relations.
type builtin struct {
	name string
	// on is the default.
	on bool
	// fits reports whether the oracle can object to anything of this shape.
	fits     func(*corpus.Shape) bool
	oracle   func(*corpus.Shape) Oracle
	relation func(*corpus.Shape) Relation
}

// builtins lists what needs no specification, in the order in which it is asked:
// cheap and certain ones first.
func builtins() []builtin {
	always := func(*corpus.Shape) bool { return true }
	return []builtin{
		{name: "errno", on: true, fits: always, oracle: newErrno},
		{name: "verdict", on: true, fits: func(s *corpus.Shape) bool { return s.Closed }, oracle: newVerdict},
		{
			name: "aborted",
			fits: func(s *corpus.Shape) bool { return slices.ContainsFunc(s.Verdicts, isAborted) }, oracle: newAborted,
		},
		{
			name: "checksum-broken", on: true,
			fits: func(s *corpus.Shape) bool { return s.Packet.Max > 0 }, oracle: newChecksum,
		},
		{name: "nondeterministic", on: true, fits: always, relation: newNondeterministic},
	}
}

// OracleNames lists the built-in oracles and relations.
func OracleNames() []string {
	var names []string
	for _, b := range builtins() {
		names = append(names, b.name)
	}
	return names
}

// Oracles returns a judge for targets of the given shape. The error names what
// opts has wrong: an unknown name, one that the shape has no use for but that was
// asked for, or an invariant whose name is taken.
func Oracles(shape *corpus.Shape, opts OracleOptions) (*Judge, error) {
	names := OracleNames()
	for name := range opts.Enable {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("unknown oracle %q, choose among %s", name, strings.Join(names, ", "))
		}
	}
	var oracles []Oracle
	var relations []Relation
	for _, b := range builtins() {
		on, chosen := opts.Enable[b.name]
		if !chosen {
			on = b.on
		}
		switch {
		case !on:
		case !b.fits(shape) && chosen:
			return nil, fmt.Errorf("oracle %q has no meaning for programs of type %s: switch it off", b.name, shape.Type)
		case !b.fits(shape):
		case b.oracle != nil:
			oracles = append(oracles, b.oracle(shape))
		default:
			relations = append(relations, b.relation(shape))
		}
	}
	oracles = append(oracles, opts.Invariants...)
	relations = append(relations, opts.Relations...)
	if err := checkNames(names, opts); err != nil {
		return nil, err
	}
	return NewJudge(oracles, relations), nil
}

// checkNames refuses a second oracle of one name: triage tells them apart by it.
func checkNames(builtin []string, opts OracleOptions) error {
	taken := map[string]bool{}
	for _, name := range builtin {
		taken[name] = true
	}
	var added []string
	for _, o := range opts.Invariants {
		added = append(added, o.Name)
	}
	for _, r := range opts.Relations {
		added = append(added, r.Name)
	}
	for _, name := range added {
		if name == "" {
			return fmt.Errorf("an invariant has no name: give it one")
		}
		if taken[name] {
			return fmt.Errorf("invariant %q has the name of another oracle: rename it", name)
		}
		taken[name] = true
	}
	return nil
}
