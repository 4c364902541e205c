package control

import "context"

// Sweep looks at the deadlines once.
func Sweep(ctx context.Context, c *Controller) error {
	_, err := c.sweep(ctx)
	return err
}
