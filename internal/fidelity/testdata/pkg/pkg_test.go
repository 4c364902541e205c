package pkg

import "testing"

func TestThere(t *testing.T) {
	t.Parallel()
	t.Run("a case", func(t *testing.T) { t.Parallel() })
}

// TestHelper is named like a test and is none.
func TestHelper(t testing.TB, n int) { t.Log(n) }
