// Case of a probe: tray and lid, printed flat without supports. Measures in mm; `scripts/enclosure` gives those of a board.
// The board lies on two rails, antenna at the far end; sockets and cable leave at x = 0. Nothing metal but two wall screws.

part = "tray";  // tray or lid
length = 98;  // of the board, socket to antenna
width = 28;
above = 15.5;  // parts over the board
below = 3;  // pins under it
socket_width = 16.5;
socket_height = 14;

wall = 2;
play = 0.6;  // between board and case, each side
rail = 1.2;  // how far the rails reach under the board
board = 1.7;  // its thickness
lip = 3;  // of the lid, inside the tray
fit = 0.25;  // between lip and tray, each side
tip = 3;  // air beyond the antenna
screw = 3.5;  // shaft of the wall screws
head = 7.5;
led = 3.2;  // hole over the LED
radius = 3;  // of the outer corners
e = 0.01;
$fn = 24;

inner_l = length + play + tip;
inner_w = width + 2 * play;
floor_z = wall + max(below, 4);  // the screws' heads need 4
inner_h = floor_z - wall + board + above + lip;
outer_l = inner_l + 2 * wall;
outer_w = inner_w + 2 * wall;
outer_h = inner_h + wall;
span = min(60, outer_l - 2 * head - 2);  // between the screws; short cases have one

module slab(l, w, h, r) {
    linear_extrude(h) translate([r, r]) offset(r) square([l - 2 * r, w - 2 * r]);
}

module keyhole(x) {
    translate([x, outer_w / 2, -e]) {
        cylinder(d = head, h = wall + 2 * e);
        translate([0, -screw / 2, 0]) cube([head, screw, wall + 2 * e]);
        translate([head, 0, 0]) cylinder(d = screw, h = wall + 2 * e);
    }
}

module vents(from_x, to_x) {
    for (x = [from_x : 6 : to_x]) translate([x, -e, floor_z + board + 2]) cube([2.5, outer_w + 2 * e, max(2, above - 4)]);
}

module tray() {
    difference() {
        slab(outer_l, outer_w, outer_h, radius);
        translate([wall, wall, wall]) cube([inner_l, inner_w, outer_h]);
        translate([-e, (outer_w - socket_width) / 2, floor_z - 0.5])
            cube([wall + 2 * e, socket_width, board + socket_height + 0.5]);
        // catches for the lid
        for (y = [wall - 0.6, outer_w - wall - e]) translate([outer_l / 2 - 5, y, outer_h - lip + 0.6]) cube([10, 0.6 + e, 1.4]);
        vents(wall + 0.3 * inner_l, wall + 0.7 * inner_l);
        keyhole(outer_l / 2 - (span > head + 6 ? span / 2 : head / 2));
        if (span > head + 6) keyhole(outer_l / 2 + span / 2 - head);
    }
    // rails with a stop before the antenna's air
    for (y = [wall - e, outer_w - wall - play - rail + e])
        translate([wall - e, y, wall - e]) cube([length + play, play + rail, floor_z - wall + e]);
    for (y = [wall - e, outer_w - wall - play - rail + e])
        translate([wall + length + play - e, y, wall - e]) cube([1.2, play + rail, floor_z - wall + board]);
}

module lid() {
    difference() {
        union() {
            slab(outer_l, outer_w, wall, radius);
            translate([wall + fit, wall + fit, wall - e]) difference() {
                cube([inner_l - 2 * fit, inner_w - 2 * fit, lip - 0.5]);
                translate([1.4, 1.4, -e]) cube([inner_l - 2 * fit - 2.8, inner_w - 2 * fit - 2.8, lip + 1]);
            }
            for (y = [wall + fit - 0.4, outer_w - wall - fit - 0.6])
                translate([outer_l / 2 - 4.5, y, wall + 1.1]) cube([9, 1, 0.8]);
        }
        translate([wall + 0.75 * inner_l, outer_w / 2, -e]) cylinder(d = led, h = wall + 2 * e);
        for (x = [wall + 0.2 * inner_l : 6 : wall + 0.6 * inner_l])
            translate([x, outer_w / 2 - 0.3 * inner_w, -e]) cube([2.5, 0.6 * inner_w, wall + 2 * e]);
    }
}

if (part == "lid") lid(); else tray();
