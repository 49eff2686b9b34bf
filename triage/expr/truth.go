package expr

// truth is Kleene's: a statement about something that is not there is neither
// true nor false. The zero value is maybe.
type truth uint8

const (
	maybe truth = iota
	no
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

func not(a truth) truth {
	switch a {
	case yes:
		return no
	case no:
		return yes
	}
	return maybe
}

func (a truth) String() string {
	return [...]string{"absent", "false", "true"}[a]
}
