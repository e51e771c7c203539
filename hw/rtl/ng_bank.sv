// Up to 16 rows of one bank of the copy of a finished tile: one number of every row, of which one is given.
//
// take_i in one cycle copies in the next; the number of row_i is given one cycle after row_i.
// Limits: which numbers a bank holds, and in which order they are given, is up to ng_array. More rows would give the
// clock enable more than 512 loads.
module ng_bank #(
  parameter int unsigned Rows = 8
) (
  input  logic                    clk_i,
  input  logic                    take_i,
  input  logic [Rows-1:0][31:0]   number_i,
  input  logic [$clog2(Rows)-1:0] row_i,
  output logic [31:0]             number_o
);
  localparam int unsigned RowBits = $clog2(Rows);

  // Registers of each bank, so that none has many loads. Four numbers per LUT, if synthesis keeps the structure.
  (* keep = "true" *) logic take_q;
  (* keep = "true" *) logic [RowBits-1:0] row_q;
  (* keep = "true" *) logic [Rows/4-1:0][31:0] four;
  logic [Rows-1:0][31:0] copy_q;
  always_ff @(posedge clk_i) begin
    take_q <= take_i;
    row_q  <= row_i;
    if (take_q) copy_q <= number_i;
  end
  always_comb begin
    for (int unsigned n = 0; n < Rows / 4; n++) begin
      four[n] = row_q[1] ? row_q[0] ? copy_q[4*n+3] : copy_q[4*n+2] : row_q[0] ? copy_q[4*n+1] : copy_q[4*n];
    end
  end
  assign number_o = four[row_q[RowBits-1:2]];
endmodule
