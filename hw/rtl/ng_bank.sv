// One bank of the copy of a finished tile: one number of every row, of which one is given.
//
// take_i in one cycle copies in the next; the number of row_i is given one cycle after row_i.
// Limits: which numbers a bank holds, and in which order they are given, is up to ng_array.
module ng_bank #(
  parameter int unsigned Lanes = 8
) (
  input  logic                     clk_i,
  input  logic                     take_i,
  input  logic [Lanes-1:0][31:0]   number_i,
  input  logic [$clog2(Lanes)-1:0] row_i,
  output logic [31:0]              number_o
);
  localparam int unsigned LaneBits = $clog2(Lanes);
  // Registers of the copy with one clock enable: those of 16 rows.
  localparam int unsigned Part = Lanes < 16 ? Lanes : 16;

  // Four numbers per LUT, if synthesis keeps the structure.
  logic [Lanes-1:0][31:0] copy_q;
  (* keep = "true" *) logic [Lanes/4-1:0][31:0] four;
  (* keep = "true" *) logic [LaneBits-1:0] row_q;
  for (genvar n = 0; n < Lanes / Part; n++) begin : gen_part
    (* keep = "true" *) logic take_q;
    always_ff @(posedge clk_i) begin
      take_q <= take_i;
      if (take_q) copy_q[n*Part+:Part] <= number_i[n*Part+:Part];
    end
  end
  always_ff @(posedge clk_i) row_q <= row_i;
  always_comb begin
    for (int unsigned n = 0; n < Lanes / 4; n++) begin
      four[n] = row_q[1] ? row_q[0] ? copy_q[4*n+3] : copy_q[4*n+2] : row_q[0] ? copy_q[4*n+1] : copy_q[4*n];
    end
  end
  assign number_o = four[row_q[LaneBits-1:2]];
endmodule
