package expr

import (
	"fmt"
	"strings"
)

// read is a name that an expression reads, as an error shows it.
type read struct {
	name  string
	value func(s scope) string
}

// report says why an invariant does not hold.
type report struct {
	name, text string
	reads      []read
}

func (r *report) broken(s scope) error {
	values := make([]string, len(r.reads))
	for i, rd := range r.reads {
		values[i] = rd.name + " = " + rd.value(s)
	}
	step := ""
	if len(s.out.Steps) > 1 {
		step = fmt.Sprintf("step %d: ", s.at)
	}
	name := ""
	if r.name != "" {
		name = fmt.Sprintf(" %q", r.name)
	}
	return fmt.Errorf("%sinvariant%s does not hold: %s (%s)", step, name, r.text, strings.Join(values, ", "))
}
