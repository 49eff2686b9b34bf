package screen

import (
	"os"

	"github.com/charmbracelet/x/term"
)

// Terminal reports whether both files are a terminal that can show a screen: what TERM
// says is "dumb" or nothing cannot.
func Terminal(in, out *os.File, name string) bool {
	return name != "" && name != "dumb" && term.IsTerminal(in.Fd()) && term.IsTerminal(out.Fd())
}

// terminalState returns what puts the terminal back into the state that it is in.
func terminalState(f *os.File) (restore func() error, err error) {
	state, err := term.GetState(f.Fd())
	if err != nil {
		return nil, err
	}
	return func() error { return term.Restore(f.Fd(), state) }, nil
}
